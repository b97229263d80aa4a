"""Maskings, decoders and predictors that a user has written."""

import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from keras import ops
from methods.linear_tokenizer import LinearTokenizer

from keras_capi.decoders import ConvolutionalPredictor
from keras_capi.decoders import MaskTokenDecoder
from keras_capi.decoders import SelfAttentionPredictor
from keras_capi.encoders import ViT
from keras_capi.fitting.non_finite_loss import NonFiniteLossError
from keras_capi.layers import CellMasking
from keras_capi.layers import DINOHead
from keras_capi.layers import MultiCrop
from keras_capi.layers import PatchMLP
from keras_capi.layers import RandomMasking
from keras_capi.methods import AIM
from keras_capi.methods import CAPI
from keras_capi.methods import IBOT
from keras_capi.methods import IJEPA
from keras_capi.methods import MAE
from keras_capi.methods import BEiT
from keras_capi.methods import Data2Vec
from keras_capi.methods import Data2Vec2
from keras_capi.methods import DenoisingAutoencoder
from keras_capi.methods import DINOv2
from keras_capi.methods import SimMIM

NUM_PATCHES = 16
NUM_VISIBLE = 4
VALUES = 4 * 4 * 3


class Own(keras.layers.Layer):
    """A layer that returns what a function makes of its arguments."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, *tensors, grid_size=None):
        return self.function(*tensors)


def make_encoder():
    return ViT(4, 1, 16, 2, image_shape=(16, 16, 3))


def indices(inputs, first, last):
    """The same patches of each image."""
    places = ops.arange(first, last, dtype="int32")[None]
    return ops.repeat(places, ops.shape(inputs)[0], axis=0)


def split(inputs, **others):
    return {
        "visible_indices": indices(inputs, 0, NUM_VISIBLE),
        "predict_indices": indices(inputs, NUM_VISIBLE, NUM_PATCHES),
        **others,
    }


def hide(inputs):
    return {"mask": indices(inputs, 0, NUM_PATCHES) < NUM_VISIBLE}


def block_split(inputs):
    drawn = {name: x[:, None] for name, x in split(inputs).items()}
    return {**drawn, "predict_mask": drawn["predict_indices"] > 5}


def prefix(inputs):
    return {"prefix_length": indices(inputs, 3, 4)[:, 0]}


def corrupt(images):
    return {"corrupted_images": images * 0.5, "mask": images > 0.0}


def make_aim(encoder, **arguments):
    head = PatchMLP.for_encoder(encoder, num_layers=1)
    return AIM(encoder, head=head, **arguments)


def make_beit(encoder, **arguments):
    return BEiT(encoder, LinearTokenizer(3), **arguments)


def make_data2vec2(encoder, **arguments):
    decoder = ConvolutionalPredictor.for_encoder(encoder, num_layers=1)
    arguments = {"decoder": decoder, **arguments}
    return Data2Vec2(encoder, num_masks=2, target_layers=(1,), **arguments)


def make_capi(encoder, **arguments):
    return CAPI(make_backbone(image_shape=(16, 16, 3)), 8, **arguments)


def small_views_and_head():
    return {
        "views": MultiCrop((16, 16), num_local_views=0),
        "head": DINOHead(12, num_layers=2, hidden_dim=16, bottleneck_dim=8),
        "num_prototypes": 12,
    }


def make_dinov2(encoder, **arguments):
    return DINOv2(
        encoder, num_patch_prototypes=12, **small_views_and_head(), **arguments
    )


def make_ibot(encoder, **arguments):
    return IBOT(encoder, **small_views_and_head(), **arguments)


def make_ijepa(encoder, **arguments):
    predictor = SelfAttentionPredictor(16, 16, (4, 4), 1, 8, 2)
    return IJEPA(encoder, **{"predictor": predictor, **arguments})


def make_mae(encoder, **arguments):
    decoder = MaskTokenDecoder(16, VALUES, (4, 4), 1, 8, 2)
    return MAE(encoder, **{"decoder": decoder, **arguments})


FORMS = {
    "aim": (make_aim, prefix),
    "beit": (make_beit, hide),
    "capi": (make_capi, split),
    "data2vec": (Data2Vec, hide),
    "data2vec2": (make_data2vec2, split),
    "denoising": (
        lambda encoder, masking: DenoisingAutoencoder(encoder, masking),
        corrupt,
    ),
    "dinov2": (make_dinov2, hide),
    "ibot": (make_ibot, hide),
    "ijepa": (make_ijepa, block_split),
    "mae": (make_mae, split),
    "simmim": (SimMIM, hide),
}


def short(function, **changes):
    """Draws as a function does, but for some names."""
    return Own(
        lambda x: {**function(x), **{k: f(x) for k, f in changes.items()}}
    )


@pytest.mark.filterwarnings("ignore:Layer '.*' looks like it has unbuilt state")
@pytest.mark.parametrize("name", FORMS)
def test_own_maskings_are_trained_with(name):
    make, draw = FORMS[name]
    model = make(make_encoder(), masking=Own(draw))
    model.compile("sgd")
    images = make_images(4, 16, 16)
    history = model.fit(images, batch_size=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()


WRONG = {
    "no dictionary": ("mae", Own(lambda x: x), "Received: float32 of shape"),
    "other names": ("mae", Own(hide), r"Received: {'mask': 'bool of shape"),
    "too many names": (
        "capi",
        Own(lambda x: {**split(x), **hide(x)}),
        "'mask': 'bool of shape",
    ),
    "not of each image": (
        "mae",
        short(split, predict_indices=lambda x: indices(x, 4, 16)[:1]),
        r"'predict_indices': 'int32 of shape \(1, 12\)'.*for 2 images",
    ),
    "none to predict": (
        "capi",
        short(split, predict_indices=lambda x: indices(x, 16, 16)),
        r"count of at least 1.*\(2, 0\)",
    ),
    "other axes": (
        "mae",
        short(split, visible_indices=lambda x: indices(x, 0, 4)[:, None]),
        r"\(2, 1, 4\)",
    ),
    "not integers": (
        "data2vec2",
        short(split, visible_indices=lambda x: indices(x, 0, 4) / 2),
        "integers.*'visible_indices': 'float",
    ),
    "a list": (
        "mae",
        short(split, visible_indices=lambda x: [[1, 2], [3]]),
        "'visible_indices': 'list'",
    ),
    "mask of another shape": (
        "ijepa",
        short(block_split, predict_mask=lambda x: indices(x, 0, 4) < 2),
        r"Booleans of these shapes.*'predict_mask': 'bool of shape \(2, 4\)'",
    ),
    "mask that is no Boolean": (
        "simmim",
        Own(lambda x: {"mask": indices(x, 0, NUM_PATCHES)}),
        "`mask`, Booleans.*'mask': 'int32",
    ),
    "one mask of all": (
        "ibot",
        Own(lambda x: {"mask": hide(x)["mask"][0]}),
        r"'mask': 'bool of shape \(16,\)'",
    ),
    "lengths with an axis": (
        "aim",
        Own(lambda x: {"prefix_length": indices(x, 3, 4)}),
        r"shape \(batch,\). Received: {'prefix_length': 'int32 of shape",
    ),
    "corrupted patches": (
        "denoising",
        short(corrupt, mask=lambda x: hide(x)["mask"]),
        "`corruption` must return.*images' shape.*'mask': 'bool of shape",
    ),
    "no layer": ("beit", lambda images: images, "must be a layer.*function"),
    "a layer that fails": (
        "data2vec",
        Own(lambda x: x.no_such_thing),
        r"can be called on.*\(2, 16, 16, 3\), grid_size=\(4, 4\). Rec.*: Own",
    ),
    "no grid": (
        "dinov2",
        keras.layers.Rescaling(1.0),
        "can be called on.*grid_size.*Received: Rescaling",
    ),
    "a masking of other methods": ("mae", CellMasking(), "Received: {'mask'"),
    "another of them": (
        "simmim",
        RandomMasking(prediction_ratio=1.0),
        "{'predict_indices'",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_maskings_are_refused_before_the_training(case):
    name, masking, message = WRONG[case]
    make, _ = FORMS[name]
    with pytest.raises(ValueError, match=message):
        make(make_encoder(), masking=masking)


def test_there_must_be_a_mask_of_each_patch():
    """Which is known when images come, as they may have another size."""
    model = SimMIM(make_encoder(), masking=Own(hide))
    model.compile("sgd")
    with pytest.raises(
        ValueError,
        match=r"`masking` must return.*, 16\)'}, for \w* images of 24 patches",
    ):
        model.fit(make_images(2, 16, 24), verbose=0)


@pytest.mark.parametrize("name", ["data2vec2", "ijepa", "mae"])
def test_own_indices_of_no_patch_are_noticed(name):
    make, draw = FORMS[name]
    masking = short(
        draw, visible_indices=lambda x: 5 + draw(x)["visible_indices"] * 9
    )
    model = make(make_encoder(), masking=masking)
    model.compile("sgd")
    with pytest.raises(NonFiniteLossError, match="mask indices out of range"):
        model.fit(make_images(2, 16, 16), verbose=0)


def test_maskings_of_another_size_than_the_encoders():
    """The encoder takes images of other sizes, of which the masking may be."""
    model = make_mae(make_encoder(), masking=RandomMasking((4, 6), 0.5, 1.0))
    model.compile("sgd")
    model.fit(make_images(2, 16, 24), verbose=0)
    with pytest.raises(ValueError, match="made for another grid"):
        model.fit(make_images(2, 16, 16), verbose=0)


class HidesRow(keras.layers.Layer):
    """Hides the first row, whose length it must know."""

    def call(self, images, grid_size):
        rows, columns = grid_size
        shape = (ops.shape(images)[0], columns)
        hidden = ops.ones(shape, "bool")
        visible = ops.zeros((shape[0], (rows - 1) * columns), "bool")
        return {"mask": ops.concatenate([hidden, visible], axis=1)}


def test_own_maskings_know_the_grid():
    model = SimMIM(make_encoder(), masking=HidesRow())
    model.compile("sgd")
    model.fit(make_images(2, 16, 24), verbose=0)


class LooksAtPixels(keras.layers.Layer):
    """Hides what is dark, which no compiled step can tell by NumPy."""

    def call(self, images, grid_size):
        pixels = ops.convert_to_numpy(images).mean(axis=-1)
        rows, columns = grid_size
        patches = pixels.reshape(len(pixels), rows, 4, columns, 4)
        return {
            "mask": patches.mean(axis=(2, 4)).reshape(len(pixels), -1) < 0.5
        }


def test_own_maskings_may_look_at_pixels():
    model = SimMIM(make_encoder(), masking=LooksAtPixels())
    model.compile("sgd", run_eagerly=True)
    model.fit(make_images(2, 16, 16), verbose=0)


class Decoder(keras.layers.Layer):
    """Predicts the same of each place, from the mean of what is visible.

    Args:
        width: Integer. Values of a place.
        more: Integer. Places beyond those that there are to be.
    """

    def __init__(self, width, more=0, **kwargs):
        super().__init__(**kwargs)
        self.width, self.more = width, more
        self.outputs = keras.layers.Dense(width)

    def predict(self, patches, count):
        mean = ops.mean(patches, axis=1, keepdims=True)
        return ops.repeat(self.outputs(mean), count + self.more, axis=1)

    def get_config(self):
        return {**super().get_config(), "width": self.width}


@keras.saving.register_keras_serializable(package="tests")
class PixelDecoder(Decoder):
    def call(
        self, prefix, patches, visible_indices, predict_indices, grid_size
    ):
        count = visible_indices.shape[1] + predict_indices.shape[1]
        return self.predict(patches, count)


class FeaturePredictor(Decoder):
    def call(
        self,
        prefix,
        patches,
        visible_indices,
        predict_indices,
        visible_mask,
        predict_mask,
        grid_size,
    ):
        _, num_blocks, count = predict_indices.shape
        predictions = self.predict(patches, count)
        return ops.repeat(predictions[:, None], num_blocks, axis=1)


class FeatureDecoder(Decoder):
    def call(self, patches, visible_indices, grid_size, training=None):
        return self.predict(patches, grid_size[0] * grid_size[1])


DECODERS = {
    "mae": (
        lambda decoder: MAE(make_encoder(), decoder=decoder),
        PixelDecoder,
        VALUES,
    ),
    "ijepa": (
        lambda decoder: IJEPA(make_encoder(), predictor=decoder),
        FeaturePredictor,
        16,
    ),
    "data2vec2": (
        lambda decoder: make_data2vec2(make_encoder(), decoder=decoder),
        FeatureDecoder,
        16,
    ),
}


@pytest.mark.filterwarnings(
    "ignore:`build\\(\\)` was called on layer '(pixel|feature)_"
)
@pytest.mark.parametrize("name", DECODERS)
def test_own_decoders_are_built_before_the_training(name):
    make, own_class, width = DECODERS[name]
    decoder = own_class(width)
    model = make(decoder)
    assert len(decoder.trainable_weights) == 2
    before = decoder.get_weights()[0]
    model.compile(model.published_optimizer(4, batch_size=2))
    images = make_images(4, 16, 16)
    history = model.fit(images, batch_size=2, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert not np.array_equal(before, decoder.get_weights()[0])


@pytest.mark.filterwarnings(
    "ignore:`build\\(\\)` was called on layer '(pixel|feature)_"
)
@pytest.mark.parametrize("name", DECODERS)
def test_wrong_decoders_are_refused_before_the_training(name):
    make, own_class, width = DECODERS[name]
    argument = "predictor" if name == "ijepa" else "decoder"
    for decoder, message in (
        # It would be compared with all values of a patch, without an error.
        (own_class(1), rf"must return.*{width}\).*returns.* 1\)"),
        (own_class(width, more=1), "must return a tensor"),
        (Own(lambda *x: {"tokens": x[0]}), "must return.*{'tokens': "),
        (Own(lambda *x: x[9]), "must be a layer that can .*Received: Own"),
        (
            keras.layers.Dense(width),
            "must be a layer that can .*Received: Dense",
        ),
        ("published", "must be a layer.*'published'"),
    ):
        with pytest.raises(ValueError, match=f"`{argument}` {message}"):
            make(decoder)


def test_decoders_of_other_encoders_are_refused():
    for make, decoder in (
        (DECODERS["mae"][0], MaskTokenDecoder(24, VALUES, (4, 4), 1, 8, 2)),
        (DECODERS["mae"][0], MaskTokenDecoder(16, 1, (4, 4), 1, 8, 2)),
        (
            DECODERS["ijepa"][0],
            SelfAttentionPredictor(24, 16, (4, 4), 1, 8, 2),
        ),
        (
            DECODERS["data2vec2"][0],
            ConvolutionalPredictor(32, (4, 4), num_layers=1),
        ),
    ):
        with pytest.raises(ValueError, match="`(decoder|predictor)` must "):
            make(decoder)


@pytest.mark.filterwarnings("ignore:`build\\(\\)` was called on layer 'pixel")
def test_own_decoders_are_read_with_their_weights(tmp_path):
    model = MAE(make_encoder(), decoder=PixelDecoder(VALUES))
    model.save(tmp_path / "model.keras")
    clone = keras.saving.load_model(tmp_path / "model.keras")
    for ours, theirs in zip(
        model.decoder.get_weights(), clone.decoder.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


class Head(keras.layers.Layer):
    def __init__(self, width):
        super().__init__()
        self.outputs = keras.layers.Dense(width)

    def call(self, patches, grid_size=None):
        return self.outputs(patches)


def test_heads_of_pixels_give_all_of_a_patch():
    images = make_images(2, 16, 16)
    model = AIM(make_encoder(), head=Head(VALUES))
    model.compile("sgd")
    assert np.isfinite(model.train_on_batch(images)[0])
    with pytest.raises(ValueError, match=r"`head` must return.*\(2, 16, 1\)"):
        AIM(make_encoder(), head=Head(1))
    with pytest.raises(ValueError, match="`head` must.*grid_size.*: Dense"):
        AIM(make_encoder(), head=keras.layers.Dense(VALUES))
