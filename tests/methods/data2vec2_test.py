import keras
import numpy as np
import pytest
from backend_helpers import on_one_backend
from helpers import make_backbone
from helpers import make_images
from helpers import make_vit
from helpers import to_numpy

import keras_capi
from keras_capi.decoders import ConvolutionalPredictor
from keras_capi.methods import Data2Vec2

IMAGES = make_images(4)
KEYS = ("initial_learning_rate", "decay_steps")
# Three masks of each image.
PATCHES = np.random.default_rng(0).permuted(
    np.tile(np.arange(16, dtype="int32"), (4, 3, 1)), axis=2
)
INPUTS = {
    "images": IMAGES,
    "visible_indices": PATCHES[..., :4],
    "predict_indices": PATCHES[..., 4:],
}
once = on_one_backend("What JAX compiles for long is the same everywhere.")


def make_decoder(encoder):
    return ConvolutionalPredictor.for_encoder(encoder, num_layers=2, seed=4)


def make_data2vec2(encoder=None, **arguments):
    encoder = encoder or make_vit(num_layers=2)
    decoder = make_decoder(encoder)
    model = Data2Vec2(encoder, decoder=decoder, seed=3, **arguments)
    # Else teacher and student are the same, and a mix-up would not show.
    rng = np.random.default_rng(1)
    for weight in model.teacher.weights:
        noise = rng.normal(scale=0.1, size=weight.shape)
        weight.assign(to_numpy(weight) + noise.astype("float32"))
    return model


def losses_of(model, inputs=INPUTS):
    losses = model.compute_losses(inputs, False)
    return {name: float(to_numpy(value)) for name, value in losses.items()}


def normalized(x, axis):
    x = x.astype("float64")
    deviation = np.sqrt(x.var(axis=axis, keepdims=True) + 1e-5)
    return (x - x.mean(axis=axis, keepdims=True)) / deviation


@once
def test_published_parts():
    model = Data2Vec2(make_vit(num_layers=12))
    assert model.target_layers == tuple(range(3, 13))
    assert model.num_masks == 16
    config = model.decoder.get_config()
    assert (config["num_layers"], config["num_groups"]) == (6, 16)
    assert (config["kernel_size"], config["noise_deviation"]) == (3, 0.01)
    inputs = model.prepare({"images": IMAGES}, True)
    assert inputs["visible_indices"].shape == (4, 16, 3)
    assert inputs["predict_indices"].shape == (4, 16, 13)
    visible = to_numpy(inputs["visible_indices"]).reshape(64, 3)
    assert len(np.unique(visible, axis=0)) > 40
    momentum = model.moving_average.momentum
    rates = [float(to_numpy(momentum(k))) for k in (0, 50_000, 100_000, 1e6)]
    assert rates == pytest.approx([0.9998, 0.999895, 0.99999, 0.99999], 1e-6)
    # Its first update is the first of 100,000.
    first, steps = (momentum.get_config()[k] for k in KEYS)
    assert (first - 0.9998) * 1e5 == pytest.approx(0.99999 - 0.9998, 1e-4)
    assert steps == 99_999
    # A sum over the 16 masks of 16 images of a device, times 0.01.
    assert model.loss_weights["class_loss"] == pytest.approx(0.01 * 256)


def test_loss_by_numpy():
    """The whole loss, from what comes out of blocks and decoder."""
    model = make_data2vec2(class_weight=0.5)
    teacher, encoder = model.teacher, model.encoder
    tokens = teacher.add_positions(*teacher.embed(IMAGES))
    layers = []
    for block in teacher.blocks:
        tokens = tokens + block.attend(tokens)
        added = block.feed_forward(tokens)
        tokens = tokens + added
        layers.append(normalized(to_numpy(added)[:, 1:], 1))
    targets = normalized(np.mean(layers, axis=0), -1)
    np.testing.assert_allclose(
        to_numpy(model.compute_targets(IMAGES)), targets, atol=2e-4
    )
    errors, class_errors = [], []
    for mask in range(3):
        # An encoder and a decoder of one mask know nothing of several.
        visible, hidden = PATCHES[:, mask, :4], PATCHES[:, mask, 4:]
        encoded = encoder.encode_images(IMAGES, visible)
        decoded = to_numpy(model.decoder(encoded["patches"], visible))
        for image in range(4):
            patches = hidden[image]
            error = decoded[image, patches] - targets[image, patches]
            errors.append(np.square(error).sum(axis=-1) / np.sqrt(16))
        error = to_numpy(encoded["prefix"])[:, 0] - targets.mean(axis=1)
        class_errors.append(np.square(error).sum(axis=-1) / np.sqrt(16))
    losses = losses_of(model)
    assert losses["feature_loss"] == pytest.approx(np.mean(errors), rel=1e-4)
    assert losses["class_loss"] == pytest.approx(
        np.mean(class_errors), rel=1e-4
    )
    model.compile("sgd")
    loss = model.test_on_batch(INPUTS, return_dict=True)["loss"]
    total = losses["feature_loss"] + 0.5 * losses["class_loss"]
    assert loss == pytest.approx(total, rel=1e-4)


@once
def test_many_masks_are_as_good_as_many_passes():
    """Losses and gradients are the means of those of single masks."""
    model = make_data2vec2()
    passes = []
    compute = model.teacher.embed
    model.teacher.embed = lambda images: (
        passes.append(images.shape[0]) or compute(images)
    )
    together = gradients_of(model, INPUTS)
    assert passes == [4]
    separate = [
        gradients_of(
            model,
            {
                name: values if name == "images" else values[:, mask]
                for name, values in INPUTS.items()
            },
        )
        for mask in range(3)
    ]
    for values, *others in zip(together, *separate, strict=True):
        np.testing.assert_allclose(values, np.mean(others, axis=0), atol=1e-5)


def gradients_of(model, inputs):
    """The loss, and its gradient for each trainable weight."""
    weights = [variable.value for variable in model.trainable_variables]
    losses = model.compute_losses(model.prepare(inputs, False), False)
    loss = losses["feature_loss"] + 0.01 * losses["class_loss"]
    for weight in weights:
        weight.grad = None
    loss.backward()
    return [to_numpy(loss), *(to_numpy(weight.grad) for weight in weights)]


def test_all_that_trains_gets_a_gradient_and_is_followed():
    encoder = make_vit()
    model = Data2Vec2(
        encoder, decoder=make_decoder(encoder), num_masks=2, ema_momentum=0.75
    )
    model.compile(keras.optimizers.SGD(0.1))
    before = {
        variable.path: to_numpy(variable)
        for variable in (*model.trainable_variables, *model.teacher.weights)
    }
    assert not model.teacher.trainable_variables
    assert any("convolution_1/kernel" in path for path in before)
    model.train_on_batch(IMAGES)
    for variable in model.trainable_variables:
        # Keys have biases, but softmax cancels them.
        if not variable.path.endswith("key/bias"):
            change = np.abs(to_numpy(variable) - before[variable.path])
            assert change.max() > 0, variable.path
    for mean, weight in zip(
        model.teacher.weights, model.encoder.weights, strict=True
    ):
        expected = 0.75 * before[mean.path] + 0.25 * to_numpy(weight)
        np.testing.assert_allclose(to_numpy(mean), expected, atol=1e-6)


@once
def test_hidden_patches_are_not_seen_but_by_the_teacher():
    model = make_data2vec2()
    visible, hidden = PATCHES[:, :1, :4], PATCHES[:, :1, 4:]
    is_hidden = np.ones((4, 16), bool)
    np.put_along_axis(is_hidden, visible[:, 0], False, axis=1)
    patches = to_numpy(keras_capi.ops.extract_patches(IMAGES, 4))
    images = keras_capi.ops.join_patches(
        np.where(is_hidden[..., None], 7.0, patches).astype("float32"),
        4,
        (4, 4),
    )
    first, second = (
        model.predict_features(x, visible, hidden) for x in (IMAGES, images)
    )
    for values, expected in zip(second, first, strict=True):
        np.testing.assert_allclose(
            to_numpy(values), to_numpy(expected), atol=1e-5
        )
    targets = to_numpy(model.compute_targets(IMAGES))
    changed = to_numpy(model.compute_targets(images))
    assert np.abs(changed - targets).max() > 1e-2


@once
def test_without_a_class_token():
    encoder = make_vit(class_token=False)
    with pytest.raises(ValueError, match="`class_weight` must be 0"):
        Data2Vec2(encoder)
    losses = losses_of(make_data2vec2(encoder, class_weight=0.0))
    assert set(losses) == {"feature_loss", "target_deviation"}
    assert 0.1 < losses["target_deviation"] < 1.01


@once
def test_other_maskings():
    """Those that list what is visible, with fewer patches to predict."""
    masking = keras_capi.layers.InverseBlockMasking(prediction_ratio=0.5)
    model = make_data2vec2(masking=masking, num_masks=2)
    inputs = model.prepare({"images": IMAGES}, True)
    assert inputs["visible_indices"].shape == (4, 2, 6)
    assert inputs["predict_indices"].shape == (4, 2, 5)
    assert np.isfinite(losses_of(model, inputs)["feature_loss"])


@once
def test_published_optimizer():
    model = make_data2vec2()
    optimizer = model.published_optimizer(375_300, batch_size=256)
    config = optimizer.get_config()
    rate = config["learning_rate"]["config"]
    assert (rate["base_value"], rate["final_value"]) == (1e-3, 0.0)
    assert rate["warmup_steps"] == 50_040
    assert (config["clip_norm"], config["weight_decay"]) == (4.0, 0.05)
    assert (config["beta_1"], config["beta_2"]) == (0.9, 0.95)
    # All weights decay, but there is a group to spare.
    assert not config["groups"]
    vectors = {id(v) for v in model.parameter_groups()["vectors"]}
    for variable in model.trainable_variables:
        is_vector = variable.path.endswith(("bias", "gamma", "beta"))
        assert (id(variable) in vectors) == is_vector, variable.path


@once
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_masks": 0}, "`num_masks` must be a positive integer"),
        ({"target_layers": (3,)}, "from 1 to the encoder's 2"),
        ({"class_weight": -1.0}, "`class_weight` must be"),
        ({"encoder": make_backbone()}, "`encoder` must be a .*ViT"),
        ({"encoder": make_vit(hidden_dim=24)}, "divisible by `num_groups`"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Data2Vec2(**{"encoder": make_vit(num_layers=2), **arguments})


@once
@pytest.mark.parametrize(
    "changes, message",
    [
        ({"visible_indices": PATCHES[:, :2, :4]}, "of the same masks"),
        ({"visible_indices": PATCHES[..., 3:6]}, "once at most"),
        ({"predict_indices": PATCHES[..., 4:] + 9}, "must be from 0 to 15"),
        ({"predict_indices": PATCHES[:3, :, 4:]}, "a row for each image"),
        ({"mask": PATCHES}, "must have the keys"),
    ],
)
def test_bad_inputs(changes, message):
    model = make_data2vec2()
    model.compile("sgd")
    with pytest.raises(ValueError, match=message):
        model.fit({**INPUTS, **changes}, verbose=0)


@once
def test_bad_indices_in_a_step_are_not_silent():
    model = make_data2vec2()
    inputs = {**INPUTS, "visible_indices": PATCHES[..., 3:6]}
    prepared = model.prepare(inputs, True)
    assert np.isnan(to_numpy(prepared["images"])).all()
