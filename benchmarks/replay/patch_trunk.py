"""The tiny network that stands in for a ResNet in the authors' arrays."""

import keras
import numpy as np
from keras import ops

from keras_capi.convert.vit_keys import linear_keys
from keras_capi.encoders.encoder import Encoder
from keras_capi.layers import PatchEmbedding


class PatchTrunk(Encoder):
    """Patch convolution, GELU, mean over patches, linear layer, GELU."""

    def __init__(self, patch_size, width, image_shape):
        super().__init__(patch_size, 1, width, 0, image_shape)
        self.patch = PatchEmbedding(patch_size, width, name="patch")
        self.patch.build((None, *image_shape))
        self.hidden = keras.layers.Dense(width, name="hidden")
        self.hidden.build((None, width))
        self.blocks = []
        self.built = True

    def embed(self, images, visible_indices=None):
        tokens = self.patch(images, visible_indices)
        return tokens, ops.zeros((1, tokens.shape[1], 1))

    def encode(self, tokens, positions, *arguments, **keywords):
        patches = ops.gelu(tokens, approximate=False)
        return {
            "prefix": patches[:, :0],
            "patches": patches,
            "positions": positions,
        }

    def pool(self, outputs, training=None):
        pooled = super().pool(outputs, training)
        return ops.gelu(self.hidden(pooled), approximate=False)

    def list_unused_parts(self, uses_global=False):
        return []


def trunk_entries(trunk):
    """Returns the names of a trunk's weights, see `pair_entries`."""
    return {
        "trunk.patch.weight": (trunk.patch.kernel, _patch_kernel),
        "trunk.patch.bias": (trunk.patch.bias, np.asarray),
        **linear_keys("trunk.hidden", trunk.hidden),
    }


def _patch_kernel(array):
    # (width, channel, row, column) to (row, column, channel, width).
    return array.transpose(2, 3, 1, 0).reshape(-1, array.shape[0])
