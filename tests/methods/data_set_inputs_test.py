"""Own inputs in a data set are checked as those in arrays are."""

import functools

import keras
import numpy as np
import pytest
from helpers import make_images
from helpers import make_vit
from methods.linear_tokenizer import NUM_WORDS
from methods.linear_tokenizer import LinearTokenizer

import keras_capi
from keras_capi.layers import DINOHead
from keras_capi.layers import SwAVHead
from keras_capi.methods.inputs.corrupted_inputs import check_corrupted_inputs
from keras_capi.methods.inputs.gray_inputs import check_gray_inputs
from keras_capi.methods.inputs.mask_form import BLOCKS
from keras_capi.methods.inputs.paired_inputs import check_paired_shapes
from keras_capi.methods.inputs.patch_indices import check_index_shapes
from keras_capi.methods.inputs.token_inputs import check_token_ids

IMAGES = make_images(2)
MASK = np.arange(16) < [[5], [6]]
WORDS = np.arange(32, dtype="int32").reshape(2, 16) % NUM_WORDS
VIEWS = make_images(4).reshape(2, 2, 16, 16, 3)
VIEW_MASK = np.stack([MASK, MASK], axis=1)
VISIBLE = np.arange(10, dtype="int32").reshape(2, 1, 5)
PREDICTED = np.arange(16, dtype="int32").reshape(2, 2, 4)
MASKED = {
    "images": IMAGES,
    "visible_indices": VISIBLE,
    "predict_indices": PREDICTED,
    "visible_mask": VISIBLE % 5 < 4,
    "predict_mask": PREDICTED % 4 < 3,
}
PAIRS = np.tile([0, 1], (2, 3, 1))
NOISE = np.ones((2, 4, 4, 8), "float32")


def make_head():
    return DINOHead(8, hidden_dim=8, bottleneck_dim=4)


@functools.cache
def make(name):
    methods = keras_capi.methods
    if name == "BEiT":
        return methods.BEiT(make_vit(), LinearTokenizer(3))
    if name == "DiscreteVAE":
        return methods.DiscreteVAE(4, 8, hidden_dim=4, codebook_dim=4)
    if name == "DINOv2":
        return methods.DINOv2(make_vit(), 8, 8, head=make_head())
    if name == "IJEPA":
        encoder = make_vit(class_token=False)
        predictor = keras_capi.decoders.SelfAttentionPredictor.for_encoder(
            encoder, num_layers=1, hidden_dim=16
        )
        return methods.IJEPA(encoder, predictor=predictor)
    arguments = {
        "DINO": {"num_prototypes": 8, "head": make_head()},
        "IBOT": {"num_prototypes": 8, "head": make_head()},
        "SwAV": {"num_prototypes": 8, "head": SwAVHead(8, 4)},
        "DeepCluster": {"num_prototypes": (3,), "head": SwAVHead(8, 4)},
    }
    return getattr(methods, name)(make_vit(), **arguments.get(name, {}))


def words(token_ids, **others):
    return {"images": IMAGES, "token_ids": token_ids, **others}


CASES = [
    ("BEiT", words(np.tile(WORDS, 2)), r"`token_ids` .* shape \(2, 16\)"),
    ("BEiT", words(WORDS[:, :8]), r"`token_ids` .* shape \(2, 16\)"),
    ("BEiT", words(WORDS[:, :1], mask=MASK), r"`token_ids` .* \(2, 16\)"),
    ("BEiT", words(WORDS.reshape(2, 4, 4)), r"`token_ids` .* \(2, 16\)"),
    ("BEiT", words(WORDS + 0.5), "`token_ids` must be integers"),
    *(
        (name, {"global_views": VIEWS, "mask": mask}, "`mask` must be Boolean")
        for name in ("IBOT", "DINOv2")
        for mask in (
            0.3 * VIEW_MASK.astype("float32"),
            VIEW_MASK[:, :1],
            np.tile(VIEW_MASK, 2),
            VIEW_MASK[:1],
        )
    ),
    *(
        (name, {"images": IMAGES, "mask": VIEW_MASK}, "`mask` needs `global_")
        for name in ("IBOT", "DINOv2")
    ),
    *(
        (name, {"global_views": views, **numbers}, message)
        for name, numbers in (
            ("DINO", {}),
            ("SwAV", {}),
            ("DeepCluster", {"indices": np.arange(2)}),
        )
        for views, message in (
            (IMAGES, "`global_views` must have rank 5"),
            (VIEWS[..., :15, :], "width .* divisible by the patch size"),
            (VIEWS.astype("uint8"), "must be floating point"),
        )
    ),
    *(
        ("IJEPA", {**MASKED, **changes}, message)
        for changes, message in (
            (
                {"visible_mask": MASKED["visible_mask"].astype("float32")},
                "`visible_mask` must be Boolean",
            ),
            (
                {"predict_mask": MASKED["predict_mask"][..., :1]},
                "`predict_mask` must be .* the shape of `predict_indices`",
            ),
            ({"visible_mask": None}, "`visible_mask` must be Boolean"),
            ({"predict_indices": PREDICTED + 0.5}, "must be integers"),
        )
    ),
    *(
        ("AIM", {"images": IMAGES, "prefix_length": np.array(lengths)}, "one f")
        for lengths in ([5], [5, 6, 7], [[5, 6]], [5.0, 6.0])
    ),
    *(
        ("RotationPrediction", {"rotated_images": VIEWS, "labels": x}, "turns")
        for x in (np.ones((1, 2), int), np.ones((2, 1), int), np.ones((2, 2)))
    ),
    *(
        (
            "RelativePosition",
            {"patches": VIEWS, "pairs": PAIRS[:count], "labels": labels},
            "for 2 images",
        )
        for count, labels in (
            (1, np.ones((1, 3), int)),
            (2, np.ones((1, 3), int)),
            (2, np.ones((2, 2), int)),
        )
    ),
    *(
        ("DiscreteVAE", {"images": IMAGES, "noise": noise}, "`noise` must be")
        for noise in (
            NOISE[:, :1, :1],
            NOISE[..., :1],
            NOISE.astype("int32"),
            NOISE.reshape(2, 16, 8),
        )
    ),
]


@pytest.mark.parametrize("name, inputs, message", CASES)
def test_bad_inputs(name, inputs, message):
    model = make(name)
    with pytest.raises(ValueError, match=message):
        model.check_inputs(inputs)
    tensors = {
        k: x if x is None else keras.ops.convert_to_tensor(x)
        for k, x in inputs.items()
    }
    with pytest.raises(ValueError, match=message):
        model.prepare(tensors, True)


def test_they_are_refused_in_a_training():
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return (words(np.tile(WORDS, 2)),)

    model = make("BEiT")
    model.compile("sgd")
    # TensorFlow does not know how many images there are.
    with pytest.raises(ValueError, match=r"`token_ids` .* shape \(\w+, 16\)"):
        model.fit(Batches(), verbose=0)


@pytest.mark.parametrize("shift", [20, -20, -1])
def test_masked_indices_that_are_no_patch(shift):
    """Refused in arrays; in a step, which cannot, the images are NaN."""
    model = make("IJEPA")
    inputs = {**MASKED, "visible_indices": VISIBLE + shift}
    with pytest.raises(ValueError, match="must be from 0 to 15"):
        model.check_inputs(inputs)
    images = keras.ops.convert_to_numpy(model.prepare(inputs, True)["images"])
    assert np.isnan(images).all()


def test_padding_may_be_anything():
    model = make("IJEPA")
    inputs = dict(MASKED)
    for name in ("visible", "predict"):
        indices, mask = inputs[f"{name}_indices"], inputs[f"{name}_mask"]
        inputs[f"{name}_indices"] = np.where(mask, indices, -1)
    model.check_inputs(inputs)
    losses = [
        model.compute_losses(model.prepare(x, False), False)["feature_loss"]
        for x in (inputs, MASKED)
    ]
    ours, expected = map(float, map(keras.ops.convert_to_numpy, losses))
    assert ours == pytest.approx(expected, rel=1e-5)
    repeated = {**MASKED, "predict_indices": np.zeros_like(PREDICTED)}
    with pytest.raises(ValueError, match="once at most in a block"):
        model.check_inputs(repeated)


@pytest.mark.parametrize("given", [("visible_mask",), ("predict_mask",), ()])
def test_masks_may_be_left_out(given):
    inputs = {
        name: x
        for name, x in MASKED.items()
        if name in given or not name.endswith("mask")
    }
    model = make("IJEPA")
    model.check_inputs(inputs)
    prepared = model.prepare(inputs, True)
    assert set(prepared) == set(inputs)
    loss = model.compute_losses(prepared, False)["feature_loss"]
    assert np.isfinite(keras.ops.convert_to_numpy(loss))


def test_the_axis_of_blocks_may_be_left_out():
    model = make("IJEPA")
    inputs = {"images": IMAGES} | {
        name: x[:, 0] for name, x in MASKED.items() if name != "images"
    }
    model.check_inputs(inputs)
    prepared = model.prepare(inputs, True)
    assert prepared["visible_mask"].shape == (2, 1, 5)
    loss = model.compute_losses(prepared, False)["feature_loss"]
    assert np.isfinite(keras.ops.convert_to_numpy(loss))


def unknown(*shape, dtype="float32"):
    return keras.KerasTensor(shape, dtype)


def test_sizes_that_are_not_known():
    """Of what comes from a data set; only sizes that are known can differ."""
    encoder = make_vit()
    corrupted = {
        "images": unknown(None, 16, 16, 3),
        "corrupted_images": unknown(None, None, None, 3),
        "mask": unknown(2, 16, None, 3, dtype="bool"),
    }
    check_corrupted_inputs(encoder, corrupted)
    corrupted["mask"] = unknown(2, 8, None, 3, dtype="bool")
    with pytest.raises(ValueError, match="must have the shape of the images"):
        check_corrupted_inputs(encoder, corrupted)
    gray = {
        "corrupted_images": unknown(None, None, 16, 3),
        "colors": unknown(2, 4, None, 2),
    }
    check_gray_inputs(encoder, 4, gray)
    gray["colors"] = unknown(2, 4, 5, 2)
    with pytest.raises(ValueError, match="`colors` must have shape"):
        check_gray_inputs(encoder, 4, gray)
    images, words = unknown(None, 16, 16, 3), unknown(2, None, dtype="int32")
    check_token_ids(words, images, encoder, vocabulary_size=8)
    words = unknown(2, 3, dtype="int32")
    with pytest.raises(ValueError, match="a word for each patch"):
        check_token_ids(words, images, encoder, vocabulary_size=8)
    indices = unknown(2, 5, dtype="int32")
    masks = {"visible_indices": indices, "predict_indices": indices}
    check_index_shapes({"images": unknown(None, 16, 16, 3), **masks})
    with pytest.raises(ValueError, match="a row for each image"):
        check_index_shapes({"images": unknown(3, 16, 16, 3), **masks})
    paired = {
        "images": unknown(None, 16, 16, 3),
        "visible_indices": unknown(None, 3, 5, dtype="int32"),
        "predict_indices": unknown(2, None, 4, dtype="int32"),
    }
    check_paired_shapes(paired)
    paired["predict_indices"] = unknown(2, 4, 4, dtype="int32")
    with pytest.raises(ValueError, match="of the same masks"):
        check_paired_shapes(paired)


def test_masks_of_a_layer_may_be_unknown_where_indices_are():
    indices, mask = unknown(2, 3, 5, dtype="int32"), (None, 3, 5)

    def draw(images, grid_size):
        return {
            "visible_indices": indices,
            "predict_indices": indices,
            "predict_mask": unknown(*mask, dtype="bool"),
        }

    images = unknown(None, 16, 16, 3)
    BLOCKS.draw(draw, images, (4, 4))
    mask = (2, 4, 5)
    with pytest.raises(ValueError, match="Booleans of these shapes"):
        BLOCKS.draw(draw, images, (4, 4))


@pytest.mark.parametrize(
    "name, inputs",
    [
        ("DINO", {"global_views": unknown(None, None, None, None, 3)}),
        ("SwAV", {"global_views": unknown(None, 2, None, 16, 3)}),
        ("RelativePosition", {"patches": unknown(2, 9, 16, None, 3)}),
        (
            "RotationPrediction",
            {
                "rotated_images": unknown(2, 4, None, None, 3),
                "labels": unknown(2, 4, dtype="int32"),
            },
        ),
    ],
)
def test_sizes_that_must_be_known(name, inputs):
    with pytest.raises(ValueError, match="must be known when a step"):
        make(name).check_inputs(inputs)


def test_labels_may_be_unknown_where_images_are():
    numbers = unknown(None, None, dtype="int32")
    for rotated_images in (
        unknown(None, None, 16, 16, 3),
        unknown(2, 4, 16, 16, 3),
    ):
        make("RotationPrediction").check_inputs(
            {"rotated_images": rotated_images, "labels": numbers}
        )
    make("RelativePosition").check_inputs(
        {
            "patches": unknown(None, None, 16, 16, 3),
            "pairs": unknown(2, 4, 2, dtype="int32"),
            "labels": numbers,
        }
    )


def test_batches_may_differ_in_patches_and_turns():
    numbers = unknown(2, None, dtype="int32")
    make("RelativePosition").check_inputs(
        {
            "patches": unknown(2, None, 16, 16, 3),
            "pairs": unknown(2, None, 2, dtype="int32"),
            "labels": numbers,
        }
    )
    make("RotationPrediction").check_inputs(
        {"rotated_images": unknown(2, None, 16, 16, 3), "labels": numbers}
    )


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="only TensorFlow compiles a step without knowing a size",
)
def test_corrupted_images_get_the_size_of_the_encoder():
    import tensorflow as tf

    model = keras_capi.methods.ContextEncoder(make_vit(), pixel_weight=1.0)
    shape = (None, None, None, 3)
    specs = {
        "images": tf.TensorSpec(shape),
        "corrupted_images": tf.TensorSpec(shape),
        "mask": tf.TensorSpec(shape, tf.bool),
    }
    step = tf.function(
        lambda inputs: model.compute_losses(model.prepare(inputs, True), True)
    )
    losses = step.get_concrete_function(specs).structured_outputs
    assert losses["pixel_loss"].shape == ()


def _own_indices(kind):
    order = np.broadcast_to(np.arange(16, dtype="int32"), (4, 16))
    order = np.random.default_rng(0).permuted(order, axis=1)
    visible, predicted = order[:, :5], order[:, 5:11]
    if kind == "MAE":
        return {"visible_indices": visible, "predict_indices": predicted}
    if kind == "Data2Vec2":
        masks = np.stack([order, order[:, ::-1]], axis=1)
        return {
            "visible_indices": masks[..., :5],
            "predict_indices": masks[..., 5:11],
        }
    blocks = {
        "visible_indices": visible[:, None],
        "predict_indices": predicted.reshape(4, 2, 3),
    }
    if kind == "IJEPA":
        return blocks
    return blocks | {
        "visible_mask": np.arange(5) < np.full((4, 1, 5), 4),
        "predict_mask": np.arange(3) < np.full((4, 2, 3), 2),
    }


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="only TensorFlow compiles a step without knowing a size",
)
@pytest.mark.parametrize(
    "kind", ["MAE", "IJEPA", "IJEPA with masks", "Data2Vec2"]
)
def test_batches_may_differ_in_the_number_of_indices(kind):
    import tensorflow as tf

    model, indices = make(kind.split()[0]), _own_indices(kind)
    inputs = {"images": make_images(), **indices}
    specs = {
        name: tf.TensorSpec((None,) * x.ndim, x.dtype)
        for name, x in indices.items()
    }
    specs["images"] = tf.TensorSpec((None, 16, 16, 3))

    def compute(inputs):
        return model.compute_losses(model.prepare(inputs, False), False)

    expected = compute({k: tf.constant(x) for k, x in inputs.items()})
    losses = tf.function(compute, input_signature=[specs])(inputs)
    for name, loss in losses.items():
        assert np.isfinite(loss)
        np.testing.assert_allclose(loss, expected[name], rtol=1e-5)
