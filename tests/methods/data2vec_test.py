import keras
import numpy as np
import pytest
from backend_helpers import on_one_backend
from helpers import make_backbone
from helpers import make_images
from helpers import make_vit
from helpers import to_numpy

import keras_capi
from keras_capi.methods import Data2Vec

# The battery traces the steps.
pytestmark = pytest.mark.usefixtures("untraced")

IMAGES = make_images(4)
MASK = np.random.default_rng(0).random((4, 16)) < 0.6
INPUTS = {"images": IMAGES, "mask": MASK}
once = on_one_backend(
    "What JAX would compile for long, and is the same on each backend."
)


def make_data2vec(encoder=None, **arguments):
    encoder = encoder or make_vit(num_layers=2)
    model = Data2Vec(encoder, **{"seed": 3, **arguments})
    # Else teacher and student are the same, and a mix-up would not show.
    rng = np.random.default_rng(1)
    for weight in model.teacher.weights:
        noise = rng.normal(scale=0.1, size=weight.shape)
        weight.assign(to_numpy(weight) + noise.astype("float32"))
    return model


def losses_of(model):
    losses = model.compute_losses(INPUTS, False)
    return {name: float(to_numpy(value)) for name, value in losses.items()}


def normalized(x, axis):
    x = x.astype("float64")
    deviation = np.sqrt(x.var(axis=axis, keepdims=True) + 1e-5)
    return (x - x.mean(axis=axis, keepdims=True)) / deviation


def block_outputs(model):
    """What the teacher's blocks put out for patches, one after the other."""
    teacher = model.teacher
    tokens = teacher.add_positions(*teacher.embed(IMAGES))
    outputs = []
    for block in teacher.blocks:
        tokens = block(tokens)
        outputs.append(to_numpy(tokens)[:, 1:])
    return outputs


@once
def test_published_parts():
    model = Data2Vec(make_vit(num_layers=7))
    assert model.target_layers == (2, 3, 4, 5, 6, 7)
    assert Data2Vec(make_vit()).target_layers == (1,)
    assert model.masking.mask_ratio == 120 / 196
    mask = to_numpy(model.prepare({"images": IMAGES}, True)["mask"])
    assert mask.shape == (4, 16)
    assert mask.sum(axis=1).max() <= 16 * 120 / 196
    assert model.moving_average.momentum == 0.9998
    kernel = to_numpy(Data2Vec(make_vit(hidden_dim=64)).head.kernel)
    # A normal distribution of 0.02, cut off at one deviation.
    assert kernel.std() == pytest.approx(0.0108, rel=0.05)


def test_targets_are_the_normalised_average_of_normalised_layers():
    model = make_data2vec()
    layers = [normalized(x, -1) for x in block_outputs(model)]
    expected = normalized(np.mean(layers, axis=0), -1)
    targets = to_numpy(model.compute_targets(IMAGES))
    np.testing.assert_allclose(targets, expected, atol=2e-4)


@once
def test_instance_norm_is_over_the_patches_alone():
    model = make_data2vec(
        target_layers=[2], target_norms=["instance"], average_norms=[]
    )
    expected = normalized(block_outputs(model)[1], 1)
    targets = to_numpy(model.compute_targets(IMAGES))
    np.testing.assert_allclose(targets, expected, atol=1e-4)


@pytest.mark.parametrize("layer_scale", [None, 0.5])
def test_outputs_of_perceptrons(layer_scale):
    encoder = make_vit(
        num_layers=2,
        layer_scale=layer_scale,
        relative_positions="shared",
    )
    arguments = {"target_norms": [], "average_norms": []}
    model = make_data2vec(
        encoder, target_layers=(2,), target_outputs="mlp", **arguments
    )
    teacher = model.teacher
    outputs = teacher.encode_images(IMAGES, layers=(1, 2), normalize=False)
    bias = teacher.positions.attention_biases(outputs["positions"])[1]
    block, tokens = teacher.blocks[1], outputs["layer_1"]
    attended = to_numpy(block.attend(tokens, attention_bias=bias))
    # What is left of a block's output.
    added = to_numpy(outputs["layer_2"]) - to_numpy(tokens) - attended
    targets = to_numpy(model.compute_targets(IMAGES))
    np.testing.assert_allclose(targets, added[:, 1:], atol=1e-5)


def test_hidden_patches_are_not_seen_but_by_the_teacher():
    model = make_data2vec()
    predictions = to_numpy(model.predict_features(**INPUTS))
    targets = to_numpy(model.compute_targets(IMAGES))
    patches = to_numpy(keras_capi.ops.extract_patches(IMAGES, 4))
    images = np.where(MASK[..., None], 7.0, patches).reshape(4, 4, 4, 4, 4, 3)
    images = images.swapaxes(2, 3).reshape(IMAGES.shape)
    changed = to_numpy(model.predict_features(images, MASK))
    np.testing.assert_allclose(changed, predictions, atol=1e-5)
    changed = to_numpy(model.compute_targets(images))
    assert np.abs(changed - targets).max() > 1e-2


@pytest.mark.parametrize("beta", [2.0, 0.12, None])
def test_loss_is_the_mean_over_hidden_patches_of_the_batch(beta):
    model = make_data2vec(beta=beta)
    targets = to_numpy(model.compute_targets(IMAGES))
    errors = np.abs(to_numpy(model.predict_features(**INPUTS)) - targets)[MASK]
    if beta is None:
        expected = np.square(errors)
    else:
        square = np.square(errors) / (2 * beta)
        expected = np.where(errors < beta, square, errors - beta / 2)
    loss = losses_of(model)["feature_loss"]
    assert loss == pytest.approx(expected.mean(), rel=1e-5)


@once
def test_further_losses_and_their_scale():
    model = make_data2vec(
        variance_weight=0.5, variance_margin=2.0, loss_scale=3.0
    )
    losses = losses_of(model)
    values = to_numpy(model.predict_features(**INPUTS))[MASK]
    deviation = np.sqrt(values.var(axis=0, ddof=1) + 1e-6)
    variance_loss = np.maximum(2.0 - deviation, 0).mean()
    assert losses["variance_loss"] == pytest.approx(variance_loss, rel=1e-4)
    model.compile("sgd")
    logs = model.test_on_batch(INPUTS, return_dict=True)
    total = 3.0 * losses["feature_loss"] + 1.5 * losses["variance_loss"]
    assert logs["loss"] == pytest.approx(total, rel=1e-4)
    assert "variance_loss" not in losses_of(make_data2vec())


@once
def test_deviation_of_targets_tells_a_collapse():
    model = make_data2vec(target_layers=[2])
    assert 0.1 < losses_of(model)["target_deviation"] < 1.01
    for projection in (block.attention for block in model.teacher.blocks):
        for weight in projection.weights:
            weight.assign(np.zeros(weight.shape))
    for part in (model.teacher.patch_embedding, *model.teacher.blocks):
        for weight in part.weights:
            weight.assign(np.zeros(weight.shape))
    model.teacher.positions.table.table.assign(
        np.zeros(model.teacher.positions.table.table.shape)
    )
    assert losses_of(model)["target_deviation"] < 1e-3


def test_the_whole_student_is_followed():
    model = Data2Vec(make_vit(), ema_momentum=0.75)
    model.compile(keras.optimizers.SGD(0.1))
    pairs = [
        (model.teacher, model.encoder),
        (model.teacher_mask_token, model.mask_token),
        (model.teacher_head, model.head),
    ]
    before = [[to_numpy(w) for w in teacher.weights] for teacher, _ in pairs]
    assert not any(teacher.trainable_variables for teacher, _ in pairs)
    logs = model.train_on_batch(INPUTS, return_dict=True)
    assert logs["ema_momentum"] == 0.75
    for (teacher, student), olds in zip(pairs, before, strict=True):
        for mean, weight, old in zip(
            teacher.weights, student.weights, olds, strict=True
        ):
            np.testing.assert_allclose(
                to_numpy(mean), 0.75 * old + 0.25 * to_numpy(weight), atol=1e-6
            )
    assert model.encoder is not model.teacher


def test_the_student_alone_drops_attention():
    model = make_data2vec(
        make_vit(num_layers=2, attention_dropout_rate=0.5, seed=1)
    )
    assert model.encoder.attention_dropout.rate == 0.5
    assert model.teacher.attention_dropout.rate == 0.0
    first, second = (to_numpy(model.compute_targets(IMAGES)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    first, second = (
        to_numpy(model.predict_features(IMAGES, MASK, training=True))
        for _ in range(2)
    )
    assert np.abs(first - second).max() > 1e-3
    first, second = (
        to_numpy(model.predict_features(IMAGES, MASK, training=False))
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


def test_resumed_with_dropout(tmp_path):
    def make():
        keras.utils.set_random_seed(0)
        model = Data2Vec(
            make_vit(num_layers=2, attention_dropout_rate=0.3, seed=1), seed=3
        )
        model.compile(model.published_optimizer(8, batch_size=4))
        return model

    def train(model):
        return [model.train_on_batch(IMAGES)[0] for _ in range(2)]

    model, other = make(), make()
    losses = train(model)
    assert losses == train(other)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert train(loaded) == train(model) != losses


def test_what_does_not_decay():
    model = make_data2vec(make_vit(relative_positions="shared"))
    undecayed = {id(v) for v in model.parameter_groups()["undecayed"]}
    decayed = {
        "/".join(variable.path.split("/")[-2:])
        for variable in model.trainable_variables
        if id(variable) not in undecayed
    }
    assert {"mask_token/token", "bias_0/table", "head/kernel"} <= decayed
    assert all(
        name.endswith(("kernel", "mask_token/token", "bias_0/table"))
        for name in decayed
    )


def test_published_optimizer():
    optimizer = make_data2vec().published_optimizer(800, batch_size=2048)
    rate = optimizer.get_config()["learning_rate"]["config"]
    assert (rate["base_value"], rate["start_value"]) == (2e-3, 0.0)
    assert (rate["warmup_steps"], rate["final_value"]) == (10, 1e-5)
    config = optimizer.get_config()
    assert (config["clip_norm"], config["weight_decay"]) == (3.0, 0.05)
    assert (config["beta_1"], config["beta_2"]) == (0.9, 0.999)


@once
def test_other_encoders():
    encoder = make_backbone(image_shape=(16, 16, 3))
    model = make_data2vec(encoder)
    model.compile(model.published_optimizer(10, batch_size=4))
    assert np.isfinite(model.train_on_batch(IMAGES)[0])
    with pytest.raises(ValueError, match="takes a `keras_capi.encoders.ViT`"):
        Data2Vec(encoder, target_outputs="mlp")


@once
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"target_layers": (0, 1)}, "`target_layers` must be a positive"),
        ({"target_layers": (3,)}, "from 1 to the encoder's 2.*(3,)"),
        ({"target_layers": ()}, "`target_layers` must be a sequence"),
        ({"target_outputs": "fc"}, "`target_outputs` must be one of"),
        ({"target_norms": ["group"]}, "`target_norms` must be a sequence of"),
        ({"average_norms": "layer"}, "`average_norms` must be a sequence"),
        ({"beta": 0.0}, "`beta` must be a positive"),
        ({"loss_scale": 0.0}, "`loss_scale` must be a positive"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Data2Vec(make_vit(num_layers=2), **arguments)


@once
def test_bad_inputs():
    model = make_data2vec()
    model.compile("sgd")
    with pytest.raises(ValueError, match="a row for each image"):
        model.fit({"images": IMAGES, "mask": MASK[:3]}, verbose=0)
