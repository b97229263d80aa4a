import keras
import numpy as np
import pytest
from backend_helpers import on_one_backend
from helpers import make_backbone
from helpers import make_images
from helpers import make_vit
from helpers import to_numpy

import keras_capi

# The battery traces the steps.
pytestmark = pytest.mark.usefixtures("untraced")

IMAGES = make_images(4)
VIEWS = {
    "global_views": make_images(8).reshape(4, 2, 16, 16, 3),
    "local_views": make_images(12, 8, 8).reshape(4, 3, 8, 8, 3),
}


once = on_one_backend(
    "What JAX would compile for long, and is the same on each backend: the "
    "layer that crops, and a step with it, have tests everywhere."
)


def make_dino(encoder=None, **arguments):
    head = keras_capi.layers.DINOHead(8, 2, 12, 6, trainable_gain=True)
    return keras_capi.methods.DINO(
        encoder or make_vit(), **{"head": head, **arguments}
    )


def compiled(total_steps=10, **arguments):
    model = make_dino(**arguments)
    model.compile(model.published_optimizer(total_steps, batch_size=64))
    return model


def test_momentum_follows_the_optimizers_schedule():
    model = compiled()
    history = model.fit(VIEWS, batch_size=4, epochs=10, verbose=0).history
    cosine = (1 + np.cos(np.pi * np.arange(10) / 10)) / 2
    np.testing.assert_allclose(
        history["ema_momentum"], 1.0 - 0.004 * cosine, atol=1e-6
    )
    constant = make_dino()
    constant.compile("adam")
    logs = constant.train_on_batch(VIEWS, return_dict=True)
    assert logs["ema_momentum"] == pytest.approx(0.996)


def test_the_last_layer_is_frozen_at_first():
    # For a hundredth of the steps.
    model = compiled(total_steps=200)
    prototypes = model.head.prototypes
    before = [to_numpy(weight) for weight in prototypes.weights]
    for step in range(4):
        if step < 2:
            for weight, value in zip(prototypes.weights, before, strict=True):
                np.testing.assert_array_equal(to_numpy(weight), value)
        model.train_on_batch(VIEWS)
    for weight, value in zip(prototypes.weights, before, strict=True):
        assert (to_numpy(weight) != value).any(), weight.path


def test_vectors_do_not_decay_but_gains_do():
    groups = make_dino().parameter_groups()
    names = {variable.path.split("/")[-1] for variable in groups["vectors"]}
    assert names == {"bias", "gamma", "beta"}
    names = {variable.name for variable in groups["last_layer"]}
    assert names == {"direction", "gain"}


def test_teacher_follows_and_gives_the_features():
    model = make_dino(ema_momentum=0.75)
    model.compile(keras.optimizers.SGD(0.1))
    for average, part in (
        (model.teacher, model.student),
        (model.teacher_head, model.head),
    ):
        assert not average.trainable_variables
        for mean, weight in zip(average.weights, part.weights, strict=True):
            np.testing.assert_array_equal(to_numpy(mean), to_numpy(weight))
    kernel, average = (
        encoder.blocks[0].mlp_hidden.kernel
        for encoder in (model.student, model.teacher)
    )
    before = to_numpy(average)
    model.train_on_batch(VIEWS)
    np.testing.assert_allclose(
        to_numpy(average), 0.75 * before + 0.25 * to_numpy(kernel), atol=1e-6
    )
    np.testing.assert_allclose(
        model.predict(IMAGES, verbose=0)["global"],
        to_numpy(model.teacher(IMAGES)["global"]),
        atol=1e-5,
    )


def test_temperature_of_the_teacher_follows_its_schedule():
    temperature = keras_capi.optimizers.EpochWarmup(0.04, 0.07, 2, 1)
    model = compiled(teacher_temperature=temperature)
    current = model.centering.current_temperature
    for expected in (0.04, 0.07, 0.07):
        model.train_on_batch(VIEWS)
        assert to_numpy(current) == pytest.approx(expected)


def test_evaluation_leaves_the_center():
    model = compiled()
    model.evaluate(VIEWS, verbose=0)
    np.testing.assert_array_equal(to_numpy(model.centering.center), 0.0)
    model.train_on_batch(VIEWS)
    assert to_numpy(model.centering.center).any()


def test_views_that_suit_the_encoder():
    views = make_dino(make_vit(image_shape=(16, 24, 3))).views
    assert views.global_size == (16, 24)
    # Three sevenths, rounded to patches of 4.
    assert views.local_size == (8, 12)
    assert views.num_local_views == 8


@once
def test_views_of_images():
    prepared = make_dino().prepare({"images": IMAGES}, training=True)
    assert prepared["global_views"].shape == (4, 2, 16, 16, 3)
    assert prepared["local_views"].shape == (4, 8, 8, 8, 3)


def test_without_local_views():
    views = keras_capi.layers.MultiCrop(16, 8, num_local_views=0)
    model = compiled(views=views)
    assert np.isfinite(model.fit(IMAGES, verbose=0).history["loss"][0])


def test_a_rotary_encoder_trains_all_that_it_uses():
    model = compiled(
        encoder=make_backbone(predictor_num_layers=2, image_shape=(16, 16, 3))
    )
    trained = {id(v) for v in model.trainable_variables}
    first, second = model.student.predictor.blocks
    assert id(first.mlp_hidden.kernel) in trained
    assert id(second.mlp_hidden.kernel) not in trained
    assert np.isfinite(model.train_on_batch(VIEWS)[0])


@pytest.mark.parametrize(
    "inputs, message",
    [
        ({"global_views": IMAGES}, "`global_views` must have rank 5"),
        (
            {"global_views": VIEWS["global_views"][:, :, :, :15]},
            "divisible by the patch size",
        ),
        ({**VIEWS, "local_views": VIEWS["local_views"][:2]}, "same images"),
        (IMAGES[..., :1], "3 channels"),
    ],
)
def test_bad_inputs(inputs, message):
    with pytest.raises(ValueError, match=message):
        compiled().fit(inputs, verbose=0)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"encoder": keras.layers.Dense(3)}, "`encoder` must be"),
        ({"teacher_temperature": 0.0}, "teacher_temperature=0.0"),
        ({"ema_momentum": 1.5}, "ema_momentum=1.5"),
        ({"encoder": make_vit}, "`encoder` must be"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_dino(**arguments)


def test_a_frozen_encoder_is_refused():
    encoder = make_vit()
    encoder.trainable = False
    with pytest.raises(ValueError, match="`encoder` must be trainable"):
        make_dino(encoder)
