"""A call of everything public that takes a number, as cheap as can be."""

import os

import helpers
import keras
import numpy as np

import keras_capi


def random(*shape):
    return np.random.default_rng(0).random(shape).astype("float32")


IMAGES = helpers.make_images(3)
PICTURES = [np.zeros((16, 16, 3), "uint8")] * 3
LABELS = np.array([0, 1, 0, 1])
MASKS = np.kron([[[0, 1], [1, 0]]] * 4, np.ones((2, 2), int))
SIZES = {
    "patch_size": 4,
    "num_layers": 1,
    "hidden_dim": 16,
    "num_heads": 2,
    "num_register_tokens": 4,
}
KNN = {
    "train_features": random(4, 8),
    "train_labels": LABELS,
    "test_features": random(4, 8),
    "test_labels": LABELS,
    "num_neighbors": (1,),
    "metrics": ("l2",),
}
SEGMENTATION = {
    "train_features": random(4, 2, 2, 8),
    "train_masks": MASKS,
    "test_features": random(4, 2, 2, 8),
    "test_masks": MASKS,
}
BLOCKS = {"uniform": keras.ops.ones((2, 5)) / 2, "area": 4, "grid_size": (3, 4)}

# The arguments of a call that works and costs little. Strings stand
# for what the test makes: models, folders, a recipe.
BASE = {
    "callbacks.Checkpoint": {"directory": "folder"},
    "callbacks.ClusteringHealth": {"images": IMAGES},
    "callbacks.FeatureImages": {"images": IMAGES, "folder": "folder"},
    "callbacks.KNNEvaluation": {
        "train_images": IMAGES,
        "train_labels": LABELS[:3],
        "test_images": IMAGES,
        "test_labels": LABELS[:3],
    },
    "callbacks.ReconstructionImages": {"images": IMAGES, "folder": "folder"},
    "data.AugmentedImages": {
        "source": IMAGES,
        "image_size": 8,
        "batch_size": 1,
    },
    "data.ImageLoader": {
        "images": PICTURES,
        "image_size": 8,
        "patch_size": 4,
    },
    "data.RandomCrops": {
        "images": list(IMAGES),
        "crop_size": 8,
        "batch_size": 2,
        "num_batches": 2,
    },
    "data.ViewBatches": {
        "dataset": keras_capi.data.RandomCrops(list(IMAGES), 8, 2, 2),
        "views": keras_capi.layers.MultiCrop(8, 4),
    },
    "data.load_images": {"folder": "folder"},
    "data.load_labelled_images": {"source": "folder", "image_size": 8},
    "data.load_segmentation": {"source": "masks", "image_size": 8},
    "data.resize_shorter_side": {"image": PICTURES[0], "size": 8},
    "data.sample_photos": {"shorter_side": 8},
    "evaluation.cluster_usage": {
        "model": "model",
        "images": IMAGES,
        "batch_size": 3,
    },
    "evaluation.clustering_health": {
        "model": "model",
        "images": IMAGES,
        "batch_size": 3,
    },
    "evaluation.knn_classification": KNN,
    "evaluation.knn_segmentation": {**SEGMENTATION, "num_neighbors": (1,)},
    "evaluation.logistic_segmentation": {**SEGMENTATION, "strengths": (1.0,)},
    "evaluation.nearest_neighbors": {
        "queries": random(4, 8),
        "database": random(4, 8),
        "num_neighbors": 1,
    },
    "evaluation.patch_features": {"model": "model", "images": IMAGES},
    "evaluation.patch_pixels": {"masks": MASKS, "grid_size": (2, 2)},
    "evaluation.probe_classification": {
        "train_features": {"x": random(4, 8)},
        "train_labels": LABELS,
        "test_features": {"x": random(4, 8)},
        "test_labels": LABELS,
        "learning_rates": (0.1,),
        "weight_decays": (0.1,),
        "num_steps": 1,
        "batch_size": 2,
        "verbose": 0,
    },
    "evaluation.segmentation_scores": {"masks": MASKS, "predictions": MASKS},
    "features.extract_features": {
        "backbone": "backbone",
        "images": PICTURES,
        "image_size": 8,
        "verbose": 0,
    },
    "layers.Attention": {"num_heads": 2},
    "layers.AttentionPooling": {},
    "layers.BlockMasking": {"prediction_ratio": 0.5},
    "layers.BlockwiseMasking": {},
    "layers.CellMasking": {},
    "layers.CenterRegion": {},
    "layers.Centering": {},
    "layers.ColorAugmentation": {},
    "layers.Corruption": {},
    "layers.DINOHead": {},
    "layers.Discriminator": {},
    "layers.DropPath": {"rate": 0.1},
    "layers.FeatureQueue": {"size": 2},
    "layers.ImageNetNormalization": {},
    "layers.InverseBlockMasking": {"prediction_ratio": 0.5},
    "layers.MultiBlockMasking": {},
    "layers.MultiCrop": {},
    "layers.LayerNormalization": {},
    "layers.LayerScale": {},
    "layers.OnlineClustering": {"num_clusters": 2},
    "layers.PatchEmbedding": {"patch_size": 4, "hidden_dim": 8},
    "layers.PatchMasking": {"prediction_ratio": 0.5},
    "layers.PositionTable": {"grid_size": (2, 2), "hidden_dim": 8},
    "layers.PrefixTokens": {},
    "layers.PrototypeHead": {"num_prototypes": 2},
    "layers.RandomMasking": {"prediction_ratio": 0.5},
    "layers.RandomRegions": {},
    "layers.RandomResizedCrop": {"height": 8, "width": 8},
    "layers.RandomState": {},
    "layers.RegisterTokens": {},
    "layers.RelativePositionBias": {"grid_size": (2, 2), "num_heads": 2},
    "layers.RMSNormalization": {},
    "layers.RotaryAttention": {"num_heads": 2},
    "layers.ScatteredMasking": {},
    "layers.TransformerBlock": {"num_heads": 2},
    "methods.BEiT": {"encoder": "vit", "tokenizer": "tokenizer"},
    "methods.CAPI": {"backbone": "student", "num_clusters": 2},
    "encoders.CAPIBackbone": {**SIZES, "predictor_num_layers": 1},
    "methods.ContextEncoder": {"encoder": "vit"},
    "methods.Data2Vec": {"encoder": "vit"},
    "methods.DiscreteVAE": {
        "patch_size": 4,
        "vocabulary_size": 8,
        "hidden_dim": 4,
        "codebook_dim": 4,
    },
    "methods.DINO": {"encoder": "vit", "head": "head"},
    "methods.DenoisingAutoencoder": {"encoder": "vit"},
    "methods.IBOT": {"encoder": "vit", "head": "head"},
    "methods.IJEPA": {"encoder": "vit"},
    "methods.MAE": {"encoder": "vit"},
    "methods.SimMIM": {"encoder": "vit"},
    "decoders.MaskTokenDecoder": {
        "context_dim": 8,
        "output_dim": 4,
        "grid_size": (2, 2),
        "num_layers": 1,
        "hidden_dim": 16,
        "num_heads": 2,
    },
    "decoders.ConvolutionalDecoder": {"num_stages": 1, "hidden_dim": 4},
    "decoders.SelfAttentionPredictor": {
        "context_dim": 8,
        "output_dim": 8,
        "grid_size": (2, 2),
        "num_layers": 1,
        "hidden_dim": 16,
        "num_heads": 2,
    },
    "tasks.ImageClassifier": {"backbone": "backbone", "num_classes": 2},
    "tasks.ImageSegmenter": {"backbone": "backbone", "num_classes": 2},
    "decoders.CrossAttentionPredictor": {
        "num_layers": 1,
        "hidden_dim": 16,
        "num_heads": 2,
    },
    "encoders.Encoder": {
        "patch_size": 4,
        "num_layers": 1,
        "hidden_dim": 16,
        "num_prefix_tokens": 0,
        "image_shape": (None, None, 3),
    },
    "encoders.ConvolutionalEncoder": {"num_stages": 1, "hidden_dim": 4},
    "encoders.RotaryViT": SIZES,
    "encoders.ViT": {**SIZES, "image_shape": (16, 16, 3)},
    "encoders.resize_vit": {"encoder": "vit"},
    "ops.binary_cross_entropy": {"probabilities": random(4), "label": 1.0},
    "tokenizers.DALLEDecoder": {
        "vocabulary_size": 8,
        "hidden_dim": 1,
        "initial_dim": 1,
    },
    "tokenizers.DALLETokenizer": {"vocabulary_size": 8, "hidden_dim": 1},
    "tokenizers.Tokenizer": {
        "patch_size": 4,
        "vocabulary_size": 8,
        "num_channels": 3,
    },
    "ops.block_sizes": BLOCKS,
    "ops.choose_chunk_size": {"length": 4, "numbers_per_item": 8},
    "ops.extract_patches": {"images": IMAGES, "patch_size": 4},
    "ops.gather_tokens_in_range": {
        "tokens": random(2, 4, 8),
        "indices": np.zeros((2, 1), "int32"),
        "start": 0,
    },
    "ops.instance_normalize": {"x": random(2, 3, 8)},
    "ops.join_patches": {
        "patches": random(2, 6, 48),
        "patch_size": 4,
        "grid_size": (2, 3),
    },
    "ops.l2_normalize": {"x": random(2, 8), "epsilon": 0.1},
    "ops.patch_cross_entropy": {
        "targets": random(2, 3, 4),
        "logits": random(2, 3, 4),
        "mask": np.ones((2, 3), bool),
        "temperature": 0.1,
    },
    "ops.layer_normalize": {"x": random(2, 8)},
    "ops.pixel_targets": {"images": IMAGES, "patch_size": 4},
    "ops.patch_coordinates": {"grid_size": (2, 2)},
    "ops.patch_cells": {"grid_size": (2, 2)},
    "ops.register_coordinates": {"num_registers": 4},
    "ops.relative_position_index": {
        "cells": np.zeros((1, 1, 2)),
        "grid_size": (2, 2),
    },
    "ops.resample_positions": {
        "table": random(4, 8),
        "grid_size": (2, 2),
        "new_grid_size": (3, 2),
    },
    "ops.resample_relative_positions": {
        "table": random(9 + 3, 2),
        "grid_size": (2, 2),
        "new_grid_size": (3, 3),
    },
    "ops.rms_normalize": {"x": random(2, 8)},
    "ops.rotary_frequencies": {"head_dim": 8},
    "ops.sample_blocks": BLOCKS,
    "ops.select_patches": {
        "is_visible": np.array([[True, True, False, False]]),
        "scores": random(1, 4),
        "num_visible": 2,
        "num_predict": 1,
    },
    "ops.sine_positions": {"grid_size": (2, 2), "hidden_dim": 8},
    "ops.sinkhorn_knopp": {"logits": random(4, 3)},
    "ops.slice_tokens": {"tokens": random(2, 4, 8), "start": 0, "size": 2},
    "ops.smooth_l1": {"targets": random(2, 4), "predictions": random(2, 4)},
    "ops.soft_cross_entropy": {
        "assignments": random(4, 3),
        "logits": random(4, 3),
        "temperature": 1.0,
    },
    "ops.split_at_random": {
        "scores": random(1, 4),
        "num_visible": 2,
        "num_predict": 1,
    },
    "ops.sum_over_chunks": {
        "function": lambda start, size: [keras.ops.ones(())],
        "length": 4,
        "chunk_size": 2,
        "shapes": [()],
    },
    "ops.variance_hinge": {
        "values": random(2, 3, 4),
        "mask": np.ones((2, 3), bool),
    },
    "ops.view_cross_entropy": {
        "targets": random(2, 2, 4),
        "logits": random(2, 3, 4),
        "temperature": 0.1,
    },
    "optimizers.AdamW": {},
    "optimizers.capi_optimizer": {"total_steps": 100},
    "optimizers.EpochWarmup": {
        "start_value": 0.1,
        "final_value": 0.1,
        "warmup_epochs": 2,
        "steps_per_epoch": 10,
    },
    "optimizers.Group": {},
    "optimizers.LayerDecayAdamW": {},
    "optimizers.LateWarmup": {
        "schedule": keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    },
    "optimizers.WarmupCosine": {"base_value": 0.1, "total_steps": 100},
    "recipes.make_model": {"recipe": "recipe", "total_steps": 10},
    "recipes.propose_settings": {
        "num_images": 100,
        "batch_size": 10,
        "total_steps": 100,
        "num_patches": 16,
    },
    "training.MovingAverage": {},
    "visualization.attention_maps": {"backbone": "backbone", "images": IMAGES},
    "visualization.dictionary_maps": {"feature_maps": [random(4, 4, 8)]},
    "visualization.nearest_patches": {
        "model": "model",
        "images": IMAGES,
        "num_patches": 1,
    },
    "visualization.prototype_browser": {
        "model": "model",
        "images": IMAGES,
        "clusters": (0,),
        "num_patches": 1,
    },
    "visualization.reconstruction_pictures": {"model": "mae", "images": IMAGES},
    "visualization.training_curves": {"history": {"capi_loss": [1.0]}},
    "visualization.word_pictures": {"model": "discrete_vae", "images": IMAGES},
    "visualization.write_report": {
        "path": os.devnull,
        "model": "model",
        "images": helpers.make_images(8),
    },
}
