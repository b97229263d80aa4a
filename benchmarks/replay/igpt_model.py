"""Image GPT as a file describes it."""

import numpy as np

import keras_capi
from benchmarks.replay.igpt_classifier import ClassifyingImageGPT
from benchmarks.replay.weights import assign

NUM_CHANNELS = 3
CLASSIFIER = "model/clf/wclf"


def make_model(weights, config, causal, num_classes):
    """Returns the model with its initial weights.

    Args:
        weights: Dictionary from the authors' name to array.
        config: Dictionary, the file's configuration.
        causal: Boolean.
        num_classes: Integer. Of the classifier, if there is one.
    """
    encoder = keras_capi.encoders.ImageGPTEncoder(
        config["n_layer"],
        config["n_embd"],
        config["n_head"],
        # To the network, an image is a row.
        image_size=(1, config["n_ctx"]),
        num_channels=NUM_CHANNELS,
        num_colors=config["n_vocab"],
        causal=causal,
        feature_layer=config["n_layer"],
    )
    if config["clf"]:
        model = ClassifyingImageGPT(encoder, num_classes)
    else:
        model = keras_capi.methods.ImageGPT(encoder)
    assign(pairs_of(weights, model))
    return model


def pairs_of(weights, model):
    """Pairs weights with their values in our layout.

    Args:
        weights: Dictionary from the authors' name to array.
        model: `keras_capi.methods.ImageGPT`. If it is not causal, the start
            token of the file belongs to nothing.
    """
    encoder = model.encoder
    yield encoder.color_embedding.embeddings, weights["model/wte"]
    yield encoder.position_embedding.embeddings, weights["model/wpe"]
    if encoder.causal:
        yield encoder.start_token.class_token, weights["model/sos"][None]
    yield encoder.final_norm.scale, weights["model/ln_f/g"]
    yield model.head.kernel, weights["model/wtet"].T
    if isinstance(model, ClassifyingImageGPT):
        yield model.classifier.kernel, weights[CLASSIFIER].T
    for index, block in enumerate(encoder.blocks):
        of_block = f"model/h{index}/"
        attention = block.attention
        kernels = [
            _as_matrix(weights[f"{of_block}attn/{name}_proj"]) for name in "qkv"
        ]
        yield (
            attention.query_key_value.kernel,
            np.concatenate([kernel.T for kernel in kernels], axis=1),
        )
        yield (
            attention.output_projection.kernel,
            _as_matrix(weights[f"{of_block}attn/c_proj"]),
        )
        yield block.attention_norm.scale, weights[f"{of_block}ln_1/g"]
        yield block.mlp_norm.scale, weights[f"{of_block}ln_2/g"]
        yield block.mlp_hidden.kernel, weights[f"{of_block}mlp/c_fc/w"]
        yield block.mlp_output.kernel, weights[f"{of_block}mlp/c_proj/w"]


def _as_matrix(kernel):
    return kernel.reshape(-1, kernel.shape[-1])
