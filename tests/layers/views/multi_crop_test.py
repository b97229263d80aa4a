import keras
import numpy as np
import pytest
from backend_helpers import BACKEND
from backend_helpers import COMPILATIONS
from backend_helpers import FASTEST
from backend_helpers import compile_layer
from helpers import to_numpy
from keras import ops

from keras_capi.layers import ColorAugmentation
from keras_capi.layers import MultiCrop
from keras_capi.layers import RandomResizedCrop
from tests.layers import battery

IMAGES = np.random.default_rng(0).normal(size=(4, 24, 20, 3)).astype("float32")
# Crops alone, of the images' own values.
NO_COLORS = {
    "jitter_rate": 0.0,
    "gray_rate": 0.0,
    "blur_rates": (0.0, 0.0, 0.0),
    "solarize_rates": (0.0, 0.0, 0.0),
}

CASE = battery.Case(
    layer_class=MultiCrop,
    arguments={
        "global_size": (16, 12),
        "local_size": (8, 4),
        "num_local_views": 3,
        "global_scale": (0.5, 0.9),
        "local_scale": (0.1, 0.5),
        "aspect_ratio": (0.8, 1.2),
        "flip_rate": 0.4,
        "jitter": (0.3, 0.3, 0.3, 0.2),
        "jitter_rate": 0.7,
        "gray_rate": 0.3,
        "blur_rates": (0.9, 0.2, 0.6),
        "blur_radius": (0.2, 1.0),
        "solarize_rates": (0.1, 0.3, 0.2),
        "mean": (0.5, 0.4, 0.3),
        "std": (0.3, 0.2, 0.4),
        "interpolation": "bilinear",
        "seed": 4,
    },
    inputs=(IMAGES,),
    outputs={
        "global_views": battery.Output((4, 2, 16, 12, 3)),
        "local_views": battery.Output((4, 3, 8, 4, 3)),
    },
    symbolic_shapes=((None, None, 3),),
    is_random=True,
    training=True,
)


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check):
    check(CASE)


def make(**overrides):
    arguments = {
        "global_size": (16, 12),
        "local_size": (8, 4),
        "num_local_views": 3,
        "seed": 0,
        **overrides,
    }
    return MultiCrop(**arguments)


def test_defaults_are_published():
    config = MultiCrop().get_config()
    assert config["global_size"] == (224, 224)
    assert config["local_size"] == (96, 96)
    assert config["num_local_views"] == 8
    assert config["global_scale"] == (0.4, 1.0)
    assert config["local_scale"] == (0.05, 0.4)
    assert config["aspect_ratio"] == (3 / 4, 4 / 3)
    assert config["flip_rate"] == 0.5
    assert config["jitter"] == (0.4, 0.4, 0.2, 0.1)
    assert config["jitter_rate"] == 0.8
    assert config["gray_rate"] == 0.2
    assert config["blur_rates"] == (1.0, 0.1, 0.5)
    assert config["blur_radius"] == (0.1, 2.0)
    assert config["solarize_rates"] == (0.0, 0.2, 0.0)


def test_each_view_is_made_by_its_part_of_the_numbers():
    layer = make()
    count = 2 * 23 + 2 * 10 + 3 * (23 + 10)
    assert layer.numbers_per_image == count
    numbers = np.random.default_rng(1).random((4, count), dtype="float32")
    views = layer(IMAGES, numbers=numbers)
    parts = np.split(numbers, [46, 56, 66, 66 + 69], axis=1)
    crops = RandomResizedCrop(16, 12, (0.4, 1.0), flip_rate=0.5, num_views=2)
    crops = crops(IMAGES, numbers=parts[0])
    for index, rates in enumerate(((1.0, 0.0), (0.1, 0.2))):
        colors = ColorAugmentation(blur_rate=rates[0], solarize_rate=rates[1])
        np.testing.assert_allclose(
            to_numpy(views["global_views"][:, index]),
            to_numpy(colors(crops[:, index], numbers=parts[1 + index])),
            atol=1e-5,
        )
    crops = RandomResizedCrop(8, 4, (0.05, 0.4), flip_rate=0.5, num_views=3)
    crops = crops(IMAGES, numbers=parts[3])
    np.testing.assert_allclose(
        to_numpy(views["local_views"]),
        to_numpy(ColorAugmentation()(crops, numbers=parts[4])),
        atol=1e-5,
    )


def test_views_of_all_images_are_independent():
    rows, columns = np.mgrid[:40, :40].astype("float32") / 40
    images = np.stack([rows, columns, rows], axis=-1)
    images = np.tile(images, (30, 1, 1, 1))
    mean, std = (0.0,) * 3, (1.0,) * 3
    layer = make(mean=mean, std=std, **NO_COLORS)
    for views in compile_layer(layer, FASTEST)(images).values():
        views = to_numpy(views)
        # The middle of the windows, and whether they are mirrored.
        middles = views.mean(axis=(2, 3))[..., :2].reshape(-1, 2)
        assert len(np.unique(middles.round(3), axis=0)) > 0.9 * len(middles)
        correlations = np.corrcoef(views.mean(axis=(2, 3))[..., 0].T)
        correlations = correlations - np.eye(len(correlations))
        assert np.abs(correlations).max() < 0.6
        flips = views[:, :, 0, 0, 1] > views[:, :, 0, -1, 1]
        assert 0.3 < flips.mean() < 0.7


def test_windows_have_the_scales_of_their_kind():
    layer = MultiCrop(seed=0)
    for crop, low, high in (
        (layer.global_crop, 0.4, 1.0),
        (layer.local_crop, 0.05, 0.4),
    ):
        _, _, heights, widths = crop.random_windows(400, (200, 200))
        areas = to_numpy(heights * widths) / 200**2
        assert low - 0.01 < areas.min() < low + 0.02
        assert high - 0.08 < areas.max() < high + 0.01


@pytest.mark.parametrize("compilation", COMPILATIONS)
def test_views_are_the_same_however_compiled(compilation):
    layer = make()
    compiled = compile_layer(layer, compilation)
    shape = (4, layer.numbers_per_image)
    numbers = np.random.default_rng(2).random(shape, dtype="float32")
    views, expected = compiled(IMAGES, numbers), layer(IMAGES, numbers)
    for name in expected:
        np.testing.assert_allclose(
            to_numpy(views[name]), to_numpy(expected[name]), atol=1e-4
        )


def test_seed_fixes_the_sequence():
    first, second, other = make(), make(), make(seed=9)
    seen = []
    for _ in range(2):
        expected, views = first(IMAGES), second(IMAGES)
        for name in expected:
            np.testing.assert_array_equal(
                to_numpy(views[name]), to_numpy(expected[name])
            )
        seen.append(to_numpy(expected["local_views"]))
    seen.append(to_numpy(other(IMAGES)["local_views"]))
    for index in range(3):
        assert np.abs(seen[index] - seen[index - 1]).max() > 0.01


def test_views_are_random_in_evaluation():
    # Within a model, where Keras passes `training` on.
    inputs = keras.Input((24, 20, 3))
    model = keras.Model(inputs, make()(inputs))
    views = model(IMAGES, training=False)["global_views"]
    first, second = to_numpy(views[:, 0]), to_numpy(views[:, 1])
    assert np.abs(first - second).max(axis=(1, 2, 3)).min() > 0.1


def test_saved_model_continues_the_sequence(tmp_path):
    inputs = keras.Input((24, 20, 3))
    model = keras.Model(inputs, make()(inputs))
    model(IMAGES)
    model.save(tmp_path / "model.keras")
    expected = model(IMAGES)
    views = keras.saving.load_model(tmp_path / "model.keras")(IMAGES)
    for name in expected:
        np.testing.assert_array_equal(
            to_numpy(views[name]), to_numpy(expected[name])
        )


def test_no_local_views():
    layer = make(num_local_views=0)
    views = layer(IMAGES)
    assert list(views) == ["global_views"]
    assert views["global_views"].shape == (4, 2, 16, 12, 3)
    assert list(layer(keras.Input((24, 20, 3)))) == ["global_views"]


def test_other_channels_and_single_images():
    images = np.tile(IMAGES, 2)[..., :5]
    make_views = compile_layer(make(), FASTEST)
    assert make_views(images)["local_views"].shape == (4, 3, 8, 4, 5)
    assert make_views(images[0])["global_views"].shape == (2, 16, 12, 5)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.data is of TensorFlow")
def test_tf_data():
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices(IMAGES).batch(4)
    views = next(iter(dataset.map(make())))
    assert views["global_views"].shape == (4, 2, 16, 12, 3)
    assert views["local_views"].shape == (4, 3, 8, 4, 3)


def test_half_precision_rounds_only_the_result():
    expected = make()(IMAGES)
    views = make(dtype="mixed_bfloat16")(IMAGES)
    for name, view in views.items():
        assert keras.backend.standardize_dtype(view.dtype) == "bfloat16"
        rounded = ops.cast(expected[name], "bfloat16")
        np.testing.assert_array_equal(
            *(to_numpy(ops.cast(x, "float32")) for x in (view, rounded))
        )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("global_size", 0),
        ("global_size", (8, 8, 8)),
        ("local_size", (8, 1.5)),
        ("num_local_views", -1),
        ("global_scale", (0.5, 1.5)),
        ("local_scale", 0.5),
        ("flip_rate", 2),
        ("jitter", (0.4, 0.4, 0.2)),
        ("jitter", (0.4, 0.4, -0.2, 0.1)),
        ("gray_rate", None),
        ("blur_rates", (1.0, 0.5)),
        ("solarize_rates", (0.0, 0.0, 2.0)),
    ],
    ids=str,
)
def test_bad_arguments(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must .*: {name}="):
        MultiCrop(**{name: value})
