"""Corrupted images, and how a model restores them."""

import numpy as np
from keras import ops

from keras_capi.ops.tokens import join_patches


def with_seed(layer, seed):
    """Returns a copy of a layer, with its own seed.

    Args:
        layer: Layer of random masks or noise.
        seed: Integer. Not used for layers without a seed.
    """
    config = layer.get_config()
    if "seed" in config:
        config["seed"] = seed
    return type(layer).from_config(config)


def restored_images(model, corruption, images, batch_size):
    """Corrupts images, and restores them with a model.

    Args:
        model: `keras_capi.methods.DenoisingAutoencoder`.
        corruption: Layer from images and `grid_size` to
            `{"corrupted_images": ..., ...}`.
        images: Float array of shape `(samples, height, width, channels)`.
        batch_size: Integer.

    Returns:
        Dictionary of float32 arrays of that shape: `"corrupted"` and
        `"reconstruction"`.
    """
    patch_size = model.encoder.patch_size
    grid_size = model.encoder.grid_size(images.shape[1:])
    batches = {"corrupted": [], "reconstruction": []}
    for start in range(0, len(images), batch_size):
        batch = ops.convert_to_tensor(images[start : start + batch_size])
        corrupted = corruption(batch, grid_size=grid_size)["corrupted_images"]
        values = model.predict_pixels(corrupted, training=False)
        restored = join_patches(values, patch_size, grid_size)
        for name, made in (
            ("corrupted", corrupted),
            ("reconstruction", restored),
        ):
            made = ops.cast(made, "float32")
            batches[name].append(ops.convert_to_numpy(made))
    return {name: np.concatenate(made) for name, made in batches.items()}
