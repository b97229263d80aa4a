import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_vit
from helpers import to_numpy
from methods.ibot_test import MASKED
from methods.ibot_test import VIEWS

import keras_capi


def make_dinov2(encoder=None, **arguments):
    head = keras_capi.layers.DINOHead(8, 2, 12, 6, trainable_gain=True)
    defaults = {"head": head, "num_patch_prototypes": 10}
    return keras_capi.methods.DINOv2(
        encoder or make_vit(), **{**defaults, **arguments}
    )


def losses(model, inputs=MASKED):
    values = model.compute_losses(inputs, training=False)
    return {name: float(to_numpy(value)) for name, value in values.items()}


@pytest.mark.parametrize(
    ("centering", "num_patch_prototypes"), [("sinkhorn", 10), ("softmax", None)]
)
def test_few_rows_give_the_same_loss(centering, num_patch_prototypes):
    """Hidden patches alone go through the heads, and others pad them."""
    model = make_dinov2(
        centering=centering, num_patch_prototypes=num_patch_prototypes
    )
    masking = keras_capi.layers.StratifiedMasking((4, 4), seed=0)
    prepared = model.prepare(VIEWS, training=True)
    bound = masking.count_hidden_in_batch(8, (4, 4))
    assert prepared["hidden_indices"].shape == (bound,)
    assert prepared["mask"].shape == (4, 2, 16)
    own = {k: prepared[k] for k in ("global_views", "local_views", "mask")}
    assert losses(model, prepared) == pytest.approx(
        losses(model, own), rel=1e-4
    )


def test_views_without_mask_count_as_zero():
    model = make_dinov2()
    whole = losses(model)["patch_loss"]
    mask = MASKED["mask"].copy()
    mask[2:] = False
    part = losses(model, {**MASKED, "mask": mask})["patch_loss"]
    assert 0.2 * whole < part < 0.8 * whole
    nothing = {**MASKED, "mask": np.zeros_like(mask)}
    assert losses(model, nothing)["patch_loss"] == 0.0


def test_koleo_is_of_the_views_by_themselves():
    model = make_dinov2()
    views = np.repeat(VIEWS["global_views"][:, :1], 2, axis=1)
    mask = np.zeros((4, 2, 16), bool)
    result = losses(model, {"global_views": views, "mask": mask})
    features = model.student(views[:, 0])["global"]
    expected = 2 * float(to_numpy(keras_capi.ops.koleo(features)))
    # The same view twice: together they would cost much more.
    assert result["koleo_loss"] == pytest.approx(expected, rel=1e-4)


def test_large_views_alone_are_divided_by_three():
    """As in the authors' code, though there are two pairs."""
    model = make_dinov2(centering="softmax", teacher_temperature=0.05)
    views = VIEWS["global_views"]
    inputs = {"global_views": views, "mask": np.zeros((4, 2, 16), bool)}
    of_teacher, of_student = (
        [to_numpy(head(encoder(views[:, i])["global"])) for i in range(2)]
        for head, encoder in (
            (model.teacher_head, model.teacher),
            (model.head, model.student),
        )
    )
    total = 0.0
    for scores, others in zip(of_teacher, of_student[::-1], strict=True):
        targets = np.exp(scores / 0.05)
        targets /= targets.sum(-1, keepdims=True)
        others = others / 0.1
        others -= np.log(np.exp(others).sum(-1, keepdims=True))
        total -= (targets * others).sum(-1).mean()
    result = losses(model, inputs)["class_loss"]
    assert result == pytest.approx(total / 3, rel=1e-4)


def test_the_optimizer():
    model = make_dinov2(make_vit(num_layers=2))
    optimizer = model.published_optimizer(1000, batch_size=256)
    model.compile(optimizer)
    groups = optimizer.groups
    rate = optimizer.get_config()["learning_rate"]["config"]
    assert rate["base_value"] == pytest.approx(2e-3)
    assert rate["warmup_steps"] == 100
    assert groups["last_layer"].frozen_steps == 10
    assert groups["last_layer"].freeze == "rate"
    decays = [groups[f"depth_{i}"].learning_rate_multiplier for i in range(4)]
    assert decays == pytest.approx([0.729, 0.81, 0.9, 1.0])
    assert optimizer.clip_scope == ["encoder", "head", "patch_head"]
    members = model.parameter_groups()
    names = {v.path.split("/")[-1] for v in members["vectors"]}
    assert names == {"bias", "gamma", "beta"}
    first = {id(v) for v in members["depth_0"]}
    assert id(model.mask_token.token) in first
    assert {id(v) for v in members["patch_embedding"]} <= first
    tied = make_dinov2(num_patch_prototypes=None)
    assert groups["patch_embedding"].learning_rate_multiplier == 0.2
    tied.compile(
        tied.published_optimizer(
            100, 16, layer_decay=1.0, patch_embedding_multiplier=0.5
        )
    )
    group = tied.optimizer.groups["patch_embedding"]
    assert group.learning_rate_multiplier == 0.5
    assert tied.optimizer.clip_scope == ["encoder", "head"]
    assert len(tied.parameter_groups()["last_layer"]) == 2


def test_the_last_layers_wait_and_moments_run_on():
    model = make_dinov2()
    model.compile(
        model.published_optimizer(
            100, 4, learning_rate=1e-2, weight_decay=0.0, frozen_steps=1
        )
    )
    direction = model.patch_head.prototypes.direction
    before = to_numpy(direction)
    model.train_on_batch(MASKED)
    np.testing.assert_array_equal(to_numpy(direction), before)
    velocities = [
        v for v in model.optimizer.variables if "direction_velocity" in v.path
    ]
    assert len(velocities) == 2
    assert all(to_numpy(v).any() for v in velocities)


def test_schedules_follow_the_optimizers():
    # Thirty of a hundred epochs, step by step.
    model = make_dinov2()
    model.compile(model.published_optimizer(1000, batch_size=16))
    for step, expected in ((0, 0.04), (150, 0.0550), (299, 0.07), (999, 0.07)):
        model.before_update(step)
        for centering in (model.centering, model.patch_centering):
            current = to_numpy(centering.current_temperature)
            assert current == pytest.approx(expected, abs=1e-4)
    assert float(model.moving_average.momentum(0)) == pytest.approx(0.992)
    assert model.get_config()["teacher_temperature"] is None
    own = make_dinov2(teacher_temperature=0.05)
    own.compile(own.published_optimizer(1000, batch_size=16))
    assert own.teacher_temperature == 0.05


def test_published_views_masks_and_heads():
    model = keras_capi.methods.DINOv2(make_vit(image_shape=(16, 24, 3)), 6, 4)
    assert model.views.global_size == (16, 24)
    assert model.views.num_local_views == 8
    assert model.views.local_scale == (0.05, 0.32)
    assert model.masking.masked_share == 0.5
    assert model.head.prototypes.trainable_gain
    assert model.patch_head.bottleneck_dim == 256
    assert model.patch_head.prototypes.num_prototypes == 4


@pytest.mark.parametrize(
    "masking",
    [
        keras_capi.layers.BlockwiseMasking(mask_ratio=0.4),
        keras_capi.layers.CellMasking(),
    ],
)
def test_other_maskings_without_local_views(masking):
    model = make_dinov2(masking=masking)
    views = {"global_views": VIEWS["global_views"]}
    prepared = model.prepare(views, training=True)
    hidden = to_numpy(prepared["mask"]).sum()
    if "hidden_indices" in prepared:
        assert hidden <= prepared["hidden_indices"].shape[0]
    assert losses(model, prepared)["patch_loss"] > 0.0


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"encoder": keras.layers.Dense(3)}, "`encoder` must be"),
        ({"centering": "none"}, "`centering` must be one of.*'none'"),
        ({"teacher_temperature": 0.0}, "teacher_temperature=0.0"),
        ({"koleo_weight": -1.0}, "koleo_weight=-1.0"),
        ({"num_patch_prototypes": 0}, "num_patch_prototypes=0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_dinov2(**arguments)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("DINO", {"ema_momentum": 1.5}),
        ("IBOT", {"masking": keras.layers.Rescaling(1.0)}),
        ("IBOT", {"patch_temperature": 0.0}),
        ("DINOv2", {"masking": keras.layers.Rescaling(1.0)}),
        ("DINOv2", {"koleo_weight": -1.0}),
        ("IBOT", {"num_patch_prototypes": 0}),
        ("DINOv2", {"num_patch_prototypes": 0.5}),
    ],
)
def test_bad_arguments_are_refused_before_large_heads_are_made(
    method, arguments, monkeypatch
):
    monkeypatch.setattr(keras_capi.layers.DINOHead, "build", None)
    with pytest.raises(ValueError, match=f"`?{next(iter(arguments))}"):
        getattr(keras_capi.methods, method)(make_vit(), **arguments)


def test_own_maskings_beside_no_encoder():
    for method in (keras_capi.methods.DINOv2, keras_capi.methods.IBOT):
        with pytest.raises(ValueError, match="`encoder` must be"):
            method(
                keras.layers.Dense(3), masking=keras_capi.layers.CellMasking()
            )


def test_bad_layer_decay():
    with pytest.raises(ValueError, match=r"`layer_decay` must be in \(0, 1\]"):
        make_dinov2().published_optimizer(10, 4, layer_decay=0.0)


def test_an_encoder_with_rotary_positions():
    model = make_dinov2(make_backbone(image_shape=(16, 16, 3)))
    model.compile(model.published_optimizer(10, batch_size=4))
    assert np.isfinite(model.train_on_batch(MASKED)[0])
    patches = model.parameter_groups()["patch_embedding"]
    assert len(patches) > 0


def test_encoders_without_a_patch_embedding():
    """Of their own `embed`, which the contract leaves to them."""
    encoder = keras_capi.encoders.ConvolutionalEncoder(
        num_stages=2, hidden_dim=16, image_shape=(16, 16, 3)
    )
    assert not hasattr(encoder, "patch_embedding")
    model = make_dinov2(encoder)
    model.compile(model.published_optimizer(10, batch_size=4))
    assert np.isfinite(model.train_on_batch(MASKED)[0])
    assert model.parameter_groups()["patch_embedding"] == []
