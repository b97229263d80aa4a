"""Own encoders that need all patches of images of one size."""

import keras
import pytest
from helpers import make_images
from keras import ops

import keras_capi
from keras_capi import methods


class Convolutions(keras_capi.encoders.Encoder):
    """Mixes the patches of a grid that it takes for granted."""

    def __init__(
        self,
        patch_size=4,
        num_layers=1,
        hidden_dim=16,
        image_shape=(16, 16, 3),
        **kwargs,
    ):
        super().__init__(
            patch_size, num_layers, hidden_dim, 0, image_shape, **kwargs
        )
        self.embedding = keras.layers.Dense(16)
        self.embedding.build((None, None, 48))
        self.mixing = keras.layers.Conv2D(
            16, 3, padding="same", data_format="channels_last"
        )
        self.mixing.build((None, 4, 4, 16))
        self.blocks = [self.mixing]
        self.finish()

    def embed(self, images, visible_indices=None):
        patches = keras_capi.ops.extract_patches(images, 4)
        cells = keras_capi.ops.patch_cells(self.grid_size(images.shape[1:]))
        positions = ops.repeat(cells[None], ops.shape(images)[0], axis=0)
        if visible_indices is not None:
            gather = keras_capi.ops.gather_tokens
            patches = gather(patches, visible_indices)
            positions = gather(positions, visible_indices)
        return self.embedding(patches), positions

    def encode(self, tokens, positions, layers=(), *args, **kwargs):
        grid = ops.reshape(tokens, (-1, 4, 4, 16))
        mixed = ops.reshape(self.mixing(grid), (-1, 16, 16))
        return self.name_outputs({1: mixed}, positions, layers)


class LastGrid(Convolutions):
    """Pads what it is given, so that no operation fails."""

    def encode(self, tokens, positions, layers=(), *args, **kwargs):
        missing = 16 - tokens.shape[1]
        tokens = ops.pad(tokens, ((0, 0), (0, missing), (0, 0)))
        return super().encode(tokens, positions, layers)


@pytest.mark.parametrize("encoder_class", [Convolutions, LastGrid])
@pytest.mark.parametrize("method", [methods.MAE, methods.IJEPA])
def test_methods_that_leave_out_patches_say_so_at_once(method, encoder_class):
    message = "must encode the visible patches alone.*Received: "
    with pytest.raises(ValueError, match=message + encoder_class.__name__):
        method(encoder_class())


@pytest.mark.parametrize("encoder_class", [Convolutions, LastGrid])
@pytest.mark.parametrize(
    "method",
    [
        methods.DeepCluster,
        methods.DINO,
        methods.DINOv2,
        methods.IBOT,
        methods.SwAV,
    ],
)
def test_methods_with_small_views_say_so_at_once(method, encoder_class):
    message = "must encode images of any size.*Received: "
    with pytest.raises(ValueError, match=message + encoder_class.__name__):
        method(encoder_class())


@pytest.mark.usefixtures("untraced")
def test_views_of_one_size_are_taken():
    views = keras_capi.layers.MultiCrop(16, num_local_views=0)
    model = methods.DINO(Convolutions(), num_prototypes=8, views=views)
    model.compile("sgd")
    assert model.fit(make_images(), verbose=0).history["loss"][0] > 0
    assert methods.SimMIM(Convolutions()).built
