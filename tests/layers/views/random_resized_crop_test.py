import keras
import numpy as np
import pytest
from backend_helpers import FASTEST
from backend_helpers import compile_layer
from keras import ops

from keras_capi.layers import RandomResizedCrop
from keras_capi.ops.images import resampling
from tests.layers import battery

IS_TENSORFLOW = keras.backend.backend() == "tensorflow"
# JAX always compiles, torch never does.
JIT_COMPILE = [True, False] if IS_TENSORFLOW else ["auto"]


# One shape for most tests: JAX compiles each operation for each shape.
IMAGES = np.random.default_rng(0).random((4, 40, 52, 3), dtype="float32")
SIZE = (16, 24)


CASE = battery.Case(
    layer_class=RandomResizedCrop,
    arguments={
        "height": SIZE[0],
        "width": SIZE[1],
        "scale": (0.5, 0.9),
        "aspect_ratio": (0.8, 1.2),
        "flip_rate": 0.5,
        "num_views": 2,
        "interpolation": "bilinear",
        "seed": 4,
    },
    inputs=(IMAGES,),
    outputs=battery.Output((4, 2, *SIZE, 3)),
    symbolic_shapes=((None, None, 3),),
    is_random=True,
    training=True,
)


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check):
    check(CASE)


def coordinate_images(height, width):
    """Images whose channels are the row and the column of the pixel, and 0."""
    images = np.zeros((4, height, width, 3), "float32")
    images[..., 0] = np.arange(height)[:, None]
    images[..., 1] = np.arange(width)
    return images


def as_float32(x):
    return ops.convert_to_numpy(ops.cast(x, "float32"))


def test_crops_the_windows_it_draws():
    outputs = RandomResizedCrop(*SIZE, seed=3)(IMAGES)
    windows = RandomResizedCrop(*SIZE, seed=3).random_windows(4, (40, 52))
    expected = resampling.resample_windows(IMAGES, *windows, SIZE)
    np.testing.assert_allclose(
        as_float32(outputs), as_float32(expected), atol=1e-6
    )


def test_each_image_has_its_own_window():
    outputs = RandomResizedCrop(*SIZE, seed=0)(coordinate_images(40, 52))
    outputs = as_float32(outputs)
    # The means of the coordinates are the centre of the window.
    centers = outputs.mean(axis=(1, 2))
    assert len(np.unique(centers.round(1), axis=0)) == 4
    spans = outputs[:, -1, -1] - outputs[:, 0, 0]
    assert len(np.unique(spans.round(1), axis=0)) == 4
    # Rows and columns have not been swapped, nor turned around.
    assert (spans[..., :2] > 25).all()
    np.testing.assert_allclose(outputs[:, 5, :, 0].std(axis=-1), 0, atol=1e-3)
    np.testing.assert_allclose(outputs[:, :, 5, 1].std(axis=-1), 0, atol=1e-3)


def test_arguments_bound_the_windows():
    layer = RandomResizedCrop(
        8, 8, scale=(0.2, 0.3), aspect_ratio=(2.0, 3.0), seed=0
    )
    _, _, heights, widths = map(
        as_float32, layer.random_windows(500, (200, 300))
    )
    areas = heights * widths / 60000
    assert 0.195 < areas.min() < 0.21 and 0.29 < areas.max() < 0.305
    aspects = widths / heights
    assert 1.95 < aspects.min() < 2.05 and 2.9 < aspects.max() < 3.05


def test_flip_mirrors_its_share_of_the_crops():
    images = np.tile(coordinate_images(20, 20)[:1], (500, 1, 1, 1))
    layer = RandomResizedCrop(8, 8, flip_rate=0.3, seed=0)
    crops = as_float32(compile_layer(layer, FASTEST)(images))
    flipped = crops[:, 0, 0, 1] > crops[:, 0, -1, 1]
    assert 0.24 < flipped.mean() < 0.36
    # Nothing else changes.
    layer = RandomResizedCrop(*SIZE, flip_rate=1.0)
    numbers = np.random.default_rng(0).random((4, 23), dtype="float32")
    mirrored = as_float32(layer(IMAGES, numbers=numbers))
    layer = RandomResizedCrop(*SIZE)
    crops = as_float32(layer(IMAGES, numbers=numbers[:, :22]))
    np.testing.assert_allclose(mirrored, crops[:, :, ::-1], atol=1e-6)


def test_views_of_an_image_are_crops_of_it():
    layer = RandomResizedCrop(*SIZE, num_views=3)
    numbers = np.random.default_rng(0).random((4, 3, 22), dtype="float32")
    views = as_float32(layer(IMAGES, numbers=numbers.reshape(4, 66)))
    one = RandomResizedCrop(*SIZE)
    for index in range(3):
        expected = as_float32(one(IMAGES, numbers=numbers[:, index]))
        np.testing.assert_allclose(views[:, index], expected, atol=1e-5)
    views = as_float32(layer(IMAGES, training=False))
    expected = as_float32(one(IMAGES, training=False))
    np.testing.assert_allclose(
        views, np.stack([expected] * 3, axis=1), atol=1e-5
    )
    assert layer.compute_output_shape((None, 9, 9, 5)) == (None, 3, *SIZE, 5)


def test_inference_resizes_the_centre():
    outputs = RandomResizedCrop(*SIZE)(IMAGES, training=False)
    windows = [np.full(4, value) for value in (2, 0, 35, 52)]
    expected = resampling.resample_windows(IMAGES, *windows, SIZE)
    np.testing.assert_allclose(
        as_float32(outputs), as_float32(expected), atol=1e-6
    )


def test_inference_returns_images_of_the_output_size_unchanged():
    outputs = RandomResizedCrop(40, 52)(IMAGES, training=False)
    np.testing.assert_allclose(as_float32(outputs), IMAGES, atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_single_image_equals_a_batch_of_one(training):
    image = np.tile(IMAGES[0], 2)[..., :5]
    output = RandomResizedCrop(*SIZE, seed=1)(image, training=training)
    batch = RandomResizedCrop(*SIZE, seed=1)(image[None], training=training)
    assert tuple(output.shape) == (*SIZE, 5)
    np.testing.assert_array_equal(as_float32(output), as_float32(batch)[0])


def test_integer_images_are_not_clipped():
    images = np.zeros(IMAGES.shape, "uint8")
    images[:, :, 26:] = 255
    layer = RandomResizedCrop(*SIZE)
    outputs = layer(images, training=False)
    floats = layer(images.astype("float32"), training=False)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
    np.testing.assert_array_equal(as_float32(outputs), as_float32(floats))
    # The overshoot of a bicubic edge.
    assert as_float32(outputs).min() < -2 and as_float32(outputs).max() > 257


def test_seed_fixes_the_sequence():
    first, second, other = (RandomResizedCrop(*SIZE, seed=s) for s in (1, 1, 9))
    draws = [as_float32(first(IMAGES)) for _ in range(2)]
    np.testing.assert_array_equal(draws[0], as_float32(second(IMAGES)))
    np.testing.assert_array_equal(draws[1], as_float32(second(IMAGES)))
    assert np.abs(draws[0] - draws[1]).max() > 0.01
    assert np.abs(draws[0] - as_float32(other(IMAGES))).max() > 0.01


def test_saved_model_continues_the_sequence(tmp_path):
    model = keras.Sequential([RandomResizedCrop(*SIZE, seed=5)])
    model(IMAGES, training=True)
    model.save(tmp_path / "model.keras")
    expected = as_float32(model(IMAGES, training=True))
    reloaded = keras.saving.load_model(tmp_path / "model.keras")
    outputs = as_float32(reloaded(IMAGES, training=True))
    np.testing.assert_array_equal(outputs, expected)


def test_config_holds_tuples():
    # As a list comes back from JSON, or from a user.
    layer = RandomResizedCrop(*SIZE, scale=[0.2, 0.9], aspect_ratio=[1, 2])
    config = layer.get_config()
    assert config["scale"] == (0.2, 0.9)
    assert config["aspect_ratio"] == (1.0, 2.0)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "float16"])
def test_half_precision_rounds_only_the_result(dtype):
    # Positions up to 600 are far beyond the 256 that bfloat16 can count to.
    images = coordinate_images(600, 500) / 600
    layer = RandomResizedCrop(*SIZE, seed=2, dtype=dtype)
    outputs = layer(ops.convert_to_tensor(images))
    assert outputs.dtype == ops.cast(0.0, layer.compute_dtype).dtype
    expected = RandomResizedCrop(*SIZE, seed=2, dtype="float32")(images)
    np.testing.assert_array_equal(
        as_float32(outputs), as_float32(ops.cast(expected, layer.compute_dtype))
    )


def test_mixed_precision_model():
    images = coordinate_images(600, 500) / 600
    # The fixture of all tests sets the policy back.
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = keras.Sequential(
        [keras.Input((None, None, 3)), RandomResizedCrop(*SIZE)]
    )
    outputs = model.predict(images, verbose=0)
    expected = RandomResizedCrop(*SIZE, dtype="float32")(images, training=False)
    np.testing.assert_array_equal(
        as_float32(outputs), as_float32(ops.cast(expected, "bfloat16"))
    )


@pytest.mark.parametrize("jit_compile", JIT_COMPILE)
def test_predict_in_a_compiled_model(jit_compile):
    images = np.random.default_rng(0).integers(0, 256, (7, 20, 24, 3), "uint8")
    model = keras.Sequential(
        [
            keras.Input((None, None, 3), dtype="uint8"),
            RandomResizedCrop(8, 16),
        ]
    )
    assert model.output_shape == (None, 8, 16, 3)
    model.compile(jit_compile=jit_compile)
    outputs = model.predict(images, batch_size=4, verbose=0)
    expected = RandomResizedCrop(8, 16)(images, training=False)
    np.testing.assert_allclose(outputs, as_float32(expected), atol=1e-3)


@pytest.mark.parametrize("jit_compile", JIT_COMPILE)
def test_fit_draws_new_windows_at_each_step(jit_compile):
    images = coordinate_images(20, 24)
    model = keras.Sequential(
        [
            keras.Input((20, 24, 3)),
            RandomResizedCrop(8, 8, seed=0),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(1),
        ]
    )
    # Without learning, only the windows can change the loss.
    model.compile(
        keras.optimizers.SGD(0.0), loss="mse", jit_compile=jit_compile
    )
    history = model.fit(
        images, np.zeros((4, 1)), batch_size=2, epochs=4, verbose=0
    )
    losses = history.history["loss"]
    assert np.isfinite(losses).all()
    assert len(set(losses)) == 4
    evaluations = [
        model.evaluate(images, np.zeros((4, 1)), verbose=0) for _ in range(2)
    ]
    assert evaluations[0] == evaluations[1]


@pytest.mark.skipif(not IS_TENSORFLOW, reason="tf.data is of TensorFlow")
def test_tf_data_with_images_of_different_sizes():
    import tensorflow as tf

    images = [IMAGES[0], IMAGES[1, :20], IMAGES[2, :, :17]]
    dataset = tf.data.Dataset.from_generator(
        lambda: images, output_signature=tf.TensorSpec((None, None, 3))
    )
    layer = RandomResizedCrop(8, 10, seed=4)
    batch = next(iter(dataset.map(layer).batch(3)))
    reference = RandomResizedCrop(8, 10, seed=4)
    expected = np.stack([as_float32(reference(image)) for image in images])
    np.testing.assert_allclose(as_float32(batch), expected, atol=1e-5)


def test_output_shape():
    layer = RandomResizedCrop(8, 10)
    assert layer.compute_output_shape((None, 5, 6, 7)) == (None, 8, 10, 7)
    assert layer.compute_output_shape((None, None, 3)) == (8, 10, 3)
    assert layer(keras.Input((9, 9, 4))).shape == (None, 8, 10, 4)


@pytest.mark.parametrize(
    "arguments",
    [
        {"height": 0},
        {"width": 8.0},
        {"scale": 0.5},
        {"scale": (0.0, 1.0)},
        {"scale": (0.8, 0.6)},
        {"scale": (0.5, 1.1)},
        {"scale": (0.5, 0.6, 0.7)},
        {"scale": (0.5, float("nan"))},
        {"aspect_ratio": (-1.0, 1.0)},
        {"aspect_ratio": (2.0, 1.0)},
        {"aspect_ratio": (1.0, float("inf"))},
        {"aspect_ratio": None},
        {"flip_rate": 1.5},
        {"num_views": 0},
        {"interpolation": "nearest"},
    ],
    ids=str,
)
def test_bad_arguments(arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=f"`{name}` must be .*: {name}="):
        RandomResizedCrop(**{"height": 8, "width": 8, **arguments})


def test_bad_rank():
    with pytest.raises(ValueError, match="`images` must have shape"):
        RandomResizedCrop(4, 4)(np.zeros((8, 8), "float32"))
    with pytest.raises(ValueError, match="`images` must have shape"):
        RandomResizedCrop(4, 4)(keras.KerasTensor((8, 8)))
