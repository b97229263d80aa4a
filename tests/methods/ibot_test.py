import keras
import numpy as np
import pytest
from backend_helpers import on_one_backend
from helpers import make_backbone
from helpers import make_images
from helpers import make_vit
from helpers import to_numpy

import keras_capi

IMAGES = make_images(4)
VIEWS = {
    "global_views": make_images(8).reshape(4, 2, 16, 16, 3),
    "local_views": make_images(12, 8, 8).reshape(4, 3, 8, 8, 3),
}
MASKED = {
    **VIEWS,
    "mask": np.random.default_rng(0).random((4, 2, 16)) < 0.5,
}


once = on_one_backend(
    "What JAX would compile for long, and is the same on each backend: the "
    "layer that crops, and a step with it, have tests everywhere."
)


def make_ibot(encoder=None, **arguments):
    head = keras_capi.layers.DINOHead(8, 2, 12, 6, trainable_gain=True)
    return keras_capi.methods.IBOT(
        encoder or make_vit(), **{"head": head, **arguments}
    )


def compiled(total_steps=10, **arguments):
    model = make_ibot(**arguments)
    model.compile(model.published_optimizer(total_steps, batch_size=64))
    return model


def losses(model, inputs=MASKED):
    values = model.compute_losses(inputs, training=False)
    return {name: float(to_numpy(value)) for name, value in values.items()}


def test_temperatures_follow_the_optimizers_schedule():
    # Thirty of 800 epochs of two steps.
    model = compiled(total_steps=1600)
    for temperature in (model.teacher_temperature, model.patch_temperature):
        values = [float(temperature(step)) for step in (0, 1, 58, 1599)]
        assert values == pytest.approx([0.04, 0.04, 0.07, 0.07])
    # Those that are given stay.
    model = compiled(teacher_temperature=0.05)
    model.before_update(9)
    for centering, expected in (
        (model.centering, 0.05),
        (model.patch_centering, 0.04 + 0.03 * 9 / 29),
    ):
        current = to_numpy(centering.current_temperature)
        assert current == pytest.approx(expected)
    assert model.get_config()["teacher_temperature"] == 0.05
    assert model.get_config()["patch_temperature"] is None


def test_patches_are_replaced_before_positions_are_added():
    model = make_ibot()
    seen = []
    blocks = model.student.blocks
    call = blocks[0].call
    object.__setattr__(
        blocks[0], "call", lambda x, *a, **k: seen.append(x) or call(x, *a, **k)
    )
    hidden = {**MASKED, "mask": np.ones((4, 2, 16), bool)}
    losses(model, hidden)
    positions = to_numpy(model.student.positions.table())[0, 1:]
    # The token is zero at the start.
    np.testing.assert_allclose(to_numpy(seen[0])[3, 1:], positions, atol=1e-6)


def test_only_hidden_patches_count():
    model = make_ibot()
    without = losses(model, {**MASKED, "mask": np.zeros((4, 2, 16), bool)})
    assert without["patch_loss"] == 0.0
    assert losses(model)["patch_loss"] > 0.0
    weights = make_ibot(class_weight=0.5, patch_weight=3.0).loss_weights
    assert weights == {"class_loss": 0.5, "patch_loss": 3.0}


@pytest.mark.parametrize("shared", [True, False])
def test_prototypes_of_patches(shared):
    model = make_ibot(num_patch_prototypes=8, teacher_shares_prototypes=shared)
    patches = keras.random.normal((2, 5, 16))
    scores = to_numpy(model.score_patches(patches))
    # The teacher starts with those of patches, of the student.
    of_teacher = model.score_patches(patches, of_teacher=True)
    np.testing.assert_allclose(to_numpy(of_teacher), scores, atol=1e-5)
    assert np.abs(to_numpy(model.head(patches)) - scores).max() > 1e-3
    if shared:
        assert model.teacher_patch_prototypes is None
    else:
        assert not model.teacher_patch_prototypes.trainable_variables
    names = {layer.name for layer in model.list_prototypes()}
    assert names == {"prototypes", "patch_prototypes"}
    assert len(model.parameter_groups()["last_layer"]) == 4


def test_the_mask_token_decays():
    groups = make_ibot().parameter_groups()
    names = {variable.path.split("/")[-1] for variable in groups["vectors"]}
    assert names == {"bias", "gamma", "beta"}


def test_views_that_suit_the_encoder():
    model = make_ibot(make_vit(image_shape=(16, 24, 3)))
    assert model.views.global_size == (16, 24)
    assert model.views.num_local_views == 10


@once
def test_views_of_images_get_masks():
    model = make_ibot(make_vit(image_shape=(16, 24, 3)))
    prepared = model.prepare({"images": IMAGES}, training=True)
    assert prepared["mask"].shape == (4, 2, 24)


def test_own_views_get_masks():
    prepared = make_ibot().prepare(VIEWS, training=True)
    assert prepared["mask"].shape == (4, 2, 16)
    assert prepared["local_views"] is VIEWS["local_views"]


@pytest.mark.parametrize(
    "masking",
    [
        keras_capi.layers.ScatteredMasking(mask_ratio=0.7),
        keras_capi.layers.BlockwiseMasking(mask_ratio=0.4),
    ],
)
def test_other_maskings_without_local_views(masking):
    views = keras_capi.layers.MultiCrop(16, 8, num_local_views=0)
    model = make_ibot(views=views, masking=masking)
    prepared = model.prepare({"images": IMAGES}, training=True)
    assert set(prepared) == {"global_views", "mask"}
    assert losses(model, prepared)["patch_loss"] > 0.0


@pytest.mark.parametrize(
    "inputs, message",
    [
        ({"images": IMAGES, "mask": MASKED["mask"]}, "needs `global_views`"),
        ({**MASKED, "mask": MASKED["mask"][:, 0]}, r"here \(4, 2, 16\)"),
        ({**MASKED, "mask": MASKED["mask"][..., :9]}, r"here \(4, 2, 16\)"),
        ({**MASKED, "mask": MASKED["mask"].astype(int)}, "must be Boolean"),
    ],
)
def test_bad_inputs(inputs, message):
    with pytest.raises(ValueError, match=message):
        compiled().fit(inputs, verbose=0)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"encoder": keras.layers.Dense(3)}, "`encoder` must be"),
        (
            {"encoder": make_backbone(predictor_hidden_dim=24)},
            "as wide as those of its patches",
        ),
        ({"patch_temperature": 0.0}, "patch_temperature=0.0"),
        ({"patch_weight": -1.0}, "patch_weight=-1.0"),
        ({"num_patch_prototypes": 9}, "num_patch_prototypes=9"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_ibot(**arguments)
