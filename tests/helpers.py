"""What several test modules need."""

import functools
import pathlib

import keras
import numpy as np
from keras import ops

import keras_capi

METHODS = pathlib.Path(__file__).parent / "reference" / "methods"


@functools.cache
def method_arrays(name):
    """Arrays that the implementation of a method's authors computed."""
    with np.load(METHODS / f"{name}.npz") as arrays:
        return dict(arrays)


def to_numpy(tensor):
    """The values of a tensor or variable."""
    if isinstance(tensor, keras.Variable):
        tensor = tensor.value
    return ops.convert_to_numpy(tensor)


def make_images(count=4, height=16, width=16, channels=3, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(count, height, width, channels)).astype(
        "float32"
    )


def make_backbone(**overrides):
    """A backbone that is as small as it can be."""
    arguments = {
        "patch_size": 4,
        "num_layers": 1,
        "predictor_num_layers": 1,
        "hidden_dim": 16,
        "num_heads": 2,
        "num_register_tokens": 4,
        "drop_path_rate": 0.0,
        "seed": 1,
        **overrides,
    }
    return keras_capi.models.CAPIBackbone(**arguments)


def make_masking(**overrides):
    """A masking with enough predictions for a grid of 4 x 4 patches."""
    arguments = {"prediction_ratio": 0.3, "seed": 2, **overrides}
    return keras_capi.layers.InverseBlockMasking(**arguments)


def make_model(backbone=None, compile_arguments=None, **overrides):
    """A compiled CAPI model around `make_backbone`."""
    arguments = {
        "num_clusters": 8,
        "masking": make_masking(),
        "ema_momentum": 0.9,
        "seed": 3,
        **overrides,
    }
    model = keras_capi.models.CAPI(backbone or make_backbone(), **arguments)
    model.compile(
        **{
            "optimizer": keras_capi.optimizers.capi_optimizer(1e-3),
            **(compile_arguments or {}),
        }
    )
    return model


def make_vit(**overrides):
    """A standard encoder that is as small as it can be."""
    arguments = {
        "patch_size": 4,
        "num_layers": 1,
        "hidden_dim": 16,
        "num_heads": 2,
        "image_shape": (16, 16, 3),
        "positions": "sine",
        **overrides,
    }
    return keras_capi.encoders.ViT(**arguments)


def make_mae(encoder=None, **overrides):
    """A compiled MAE around `make_vit`."""
    encoder = encoder or make_vit()
    decoder = keras_capi.decoders.MaskTokenDecoder.for_encoder(
        encoder, num_layers=1, hidden_dim=16, num_heads=2
    )
    arguments = {"decoder": decoder, "seed": 3, **overrides}
    model = keras_capi.methods.MAE(encoder, **arguments)
    model.compile(model.published_optimizer(100, batch_size=64))
    return model


def make_simmim(encoder=None, **overrides):
    """A compiled SimMIM around `make_vit`."""
    arguments = {"seed": 3, **overrides}
    model = keras_capi.methods.SimMIM(encoder or make_vit(), **arguments)
    model.compile(model.published_optimizer(100, batch_size=64))
    return model


def make_denoising(encoder=None, **overrides):
    """A compiled denoising autoencoder around `make_vit`."""
    model = keras_capi.methods.DenoisingAutoencoder(
        encoder or make_vit(), **{"seed": 3, **overrides}
    )
    model.compile(model.published_optimizer(100, batch_size=64))
    return model


def make_context_encoder(encoder=None, **overrides):
    """A compiled context encoder around `make_vit`."""
    model = keras_capi.methods.ContextEncoder(
        encoder or make_vit(), **{"seed": 3, **overrides}
    )
    model.compile(model.published_optimizer(100, batch_size=64))
    return model


def make_dino(encoder=None, **overrides):
    """A compiled DINO around `make_vit`, with two sizes of views."""
    head = keras_capi.layers.DINOHead(8, hidden_dim=16, bottleneck_dim=8)
    views = keras_capi.layers.MultiCrop(16, 8, num_local_views=1, seed=4)
    arguments = {"head": head, "views": views, "seed": 3, **overrides}
    model = keras_capi.methods.DINO(encoder or make_vit(), **arguments)
    model.compile(model.published_optimizer(100, batch_size=64))
    return model


def make_indices(count=4, visible=5, predicted=3):
    """Masks for a grid of 4 x 4 patches, the same in each image."""
    indices = np.tile(np.arange(visible + predicted, dtype="int32"), (count, 1))
    return {
        "visible_indices": indices[:, :visible],
        "predict_indices": indices[:, visible:],
    }


def weights_of(model):
    return [to_numpy(weight) for weight in model.weights]
