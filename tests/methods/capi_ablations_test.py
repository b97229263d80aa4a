"""Table 1 of CAPI: each ablation is one argument, and trains like CAPI."""

import json

import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_indices
from helpers import make_masking
from helpers import make_model
from helpers import to_numpy
from helpers import weights_of

from keras_capi.evaluation.clustered_features import clustered_features
from keras_capi.layers import BlockMasking
from keras_capi.layers import DistilledTargets
from keras_capi.layers import LatentTargets
from keras_capi.layers import OnlineClustering
from keras_capi.layers import ProjectionHead
from keras_capi.layers import RandomMasking

INPUTS = {"images": make_images(), **make_indices()}


def clustering(layer):
    return {"clustering": layer, "num_clusters": layer.num_clusters or 16384}


# Each ablation is in one of these, as to compile a step takes the time.
ABLATIONS = {
    "fused, random, latent": lambda: (
        {"predictor": "fused"},
        {
            "masking": RandomMasking(
                mask_ratio=0.8, prediction_ratio=0.3, seed=2
            ),
            **clustering(LatentTargets()),
        },
    ),
    "self-attention, learnt positions, block without roll, MLP": lambda: (
        {"predictor": "self_attention", "positions": "learned"},
        {
            "masking": BlockMasking(prediction_ratio=0.3, roll=False, seed=2),
            "projection": ProjectionHead(2, 12, 6),
        },
    ),
    "no registers, inverse block without roll, distilled": lambda: (
        {"num_register_tokens": 0},
        {
            "masking": make_masking(roll=False),
            **clustering(DistilledTargets(8, hidden_dim=12, bottleneck_dim=6)),
        },
    ),
    "fused, learnt positions, block, standard Sinkhorn": lambda: (
        {"predictor": "fused", "positions": "learned"},
        {
            "masking": BlockMasking(prediction_ratio=0.3, seed=2),
            **clustering(OnlineClustering(5, positionwise=False)),
        },
    ),
    "several layers of the teacher": lambda: (
        {"num_layers": 2},
        {"target_layers": [1, 2]},
    ),
}


def make(name):
    of_backbone, of_model = ABLATIONS[name]()
    backbone = make_backbone(image_shape=(16, 16, 3), **of_backbone)
    return make_model(backbone, **of_model)


def state_of(model):
    variables = [*model.variables, *model.optimizer.variables]
    return [to_numpy(variable) for variable in variables]


@pytest.mark.parametrize("name", list(ABLATIONS))
def test_trains_saves_and_goes_on(name, tmp_path):
    keras.utils.set_random_seed(0)
    model = make(name)
    before = [to_numpy(w) for w in model.trainable_variables]
    for _ in range(2):
        logs = model.train_on_batch(make_images(), return_dict=True)
    assert all(np.isfinite(value) for value in logs.values())
    assert all(key in logs for key in model.loss_weights)
    # The gradients reach all that trains: student, heads, targets.
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert (to_numpy(variable) != old).any() or not old.size, variable.path

    model.save(tmp_path / "model.keras")
    clone = keras.saving.load_model(tmp_path / "model.keras")
    first, second = (json.dumps(x.get_config()) for x in (model, clone))
    assert first == second
    # All that a training goes on from, random numbers too.
    for ours, theirs in zip(state_of(model), state_of(clone), strict=True):
        np.testing.assert_array_equal(ours, theirs)

    keras.utils.set_random_seed(1)
    other = make(name)
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    for weight, loaded in zip(
        weights_of(model), weights_of(other), strict=True
    ):
        np.testing.assert_array_equal(weight, loaded)


def compute_losses(model, training):
    losses = model.compute_losses(INPUTS, training=training)
    return {name: to_numpy(loss) for name, loss in losses.items()}


def test_targets_are_the_mean_of_layers():
    backbone = make_backbone(num_layers=3)
    model = make_model(backbone, target_layers=(1, 3))
    outputs = model.teacher(INPUTS["images"], layers=(1, 3))
    layers = [to_numpy(outputs[f"layer_{number}"]) for number in (1, 3)]
    mean = np.mean(layers, axis=0).reshape(4, 16, -1)
    targets = to_numpy(model.encode_targets(INPUTS["images"]))
    np.testing.assert_allclose(targets, mean, atol=1e-6)
    losses = compute_losses(model, training=False)
    assignments, loss = model.clustering(mean)
    np.testing.assert_allclose(losses["clustering_loss"], to_numpy(loss), 1e-5)
    logits = model.prototype_head(model.student.predict_masked(**INPUTS))
    logits = to_numpy(logits) / model.student_temperature
    logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    expected = -(to_numpy(assignments)[:, 5:8] * logits).sum(axis=-1).mean()
    assert losses["capi_loss"] == pytest.approx(expected, rel=1e-4)
    # What looks at clusters looks at these.
    features = clustered_features(model, INPUTS["images"], batch_size=3)
    np.testing.assert_allclose(features.reshape(mean.shape), mean, atol=1e-6)


def test_the_last_layer_is_the_default():
    backbone = make_backbone(num_layers=2)
    model = make_model(backbone)
    assert model.target_layers == (2,)
    patches = to_numpy(model.teacher.encode_patches(INPUTS["images"]))
    np.testing.assert_array_equal(
        to_numpy(model.encode_targets(INPUTS["images"])), patches
    )
    features = clustered_features(model, INPUTS["images"])
    np.testing.assert_allclose(
        features.reshape(patches.shape), patches, atol=1e-6
    )


def layer_normalized(x):
    x = x - x.mean(axis=-1, keepdims=True)
    return x / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + 1e-5)


def test_latent_targets_are_normalised_features():
    model = make_model(**clustering(LatentTargets(beta=0.5)))
    losses = compute_losses(model, training=False)
    patches = to_numpy(model.teacher.encode_patches(INPUTS["images"]))
    targets = layer_normalized(patches)[:, 5:8]
    outputs = to_numpy(
        model.prototype_head(model.student.predict_masked(**INPUTS))
    )
    error = np.abs(outputs - targets)
    expected = np.where(error < 0.5, error**2, error - 0.25).mean()
    assert losses["capi_loss"] == pytest.approx(expected, rel=1e-4)
    deviation = np.sqrt(targets.reshape(-1, 16).var(axis=0).mean())
    assert losses["target_deviation"] == pytest.approx(deviation, rel=1e-3)
    assert not hasattr(model, "clustering")


def test_distilled_targets_are_the_teachers_scores():
    targets = DistilledTargets(8, 0.5, 0.75, hidden_dim=12, bottleneck_dim=6)
    model = make_model(**clustering(targets), student_temperature=0.2)
    losses = compute_losses(model, training=True)
    patches = model.teacher.encode_patches(INPUTS["images"])
    scores = to_numpy(model.teacher_prototype_head(patches))[:, 5:8]
    expected = np.exp(scores / 0.5)
    expected /= expected.sum(axis=-1, keepdims=True)
    logits = model.prototype_head(model.student.predict_masked(**INPUTS))
    logits = to_numpy(logits) / 0.2
    logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    loss = -(expected * logits).sum(axis=-1).mean()
    assert losses["capi_loss"] == pytest.approx(loss, rel=1e-4)
    np.testing.assert_allclose(
        to_numpy(targets.centering.center),
        0.25 * scores.mean(axis=(0, 1)),
        atol=1e-5,
    )


def test_the_teachers_heads_follow():
    model = make_model(projection=ProjectionHead(2, 12, 6), ema_momentum=0.7)
    pairs = [
        (model.projection, model.teacher_projection),
        (model.prototype_head, model.teacher_prototype_head),
    ]
    before = [weights_of(teacher) for _, teacher in pairs]
    for student, _ in pairs:
        for weight in student.weights:
            weight.assign(weight + 1.0)
    model.after_update(keras.ops.zeros((), "int32"), keras.ops.array(True))
    for (student, teacher), old in zip(pairs, before, strict=True):
        for ours, theirs, mean in zip(
            weights_of(student), weights_of(teacher), old, strict=True
        ):
            np.testing.assert_allclose(
                theirs, 0.7 * mean + 0.3 * ours, atol=1e-6
            )


def test_what_does_not_decay():
    """Biases behind the predictor do not, prototypes' gains do."""
    model = make_model(projection=ProjectionHead(2, 12, 6))
    groups = model.parameter_groups()
    assert [variable.path.split("/")[-2] for variable in groups["biases"]] == [
        "patch_embedding",
        "layer_1",
        "layer_2",
    ]
    model = make_model(**clustering(LatentTargets()))
    assert len(model.parameter_groups()["biases"]) == 2
    assert model.parameter_groups()["clustering"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clustering": "LatentTargets"}, "`clustering` must be a"),
        (
            {"backbone": make_backbone(num_layers=2), "target_layers": (2, 3)},
            "`target_layers` must be numbers from 1 to the encoder's 2",
        ),
        ({"target_layers": ()}, "`target_layers` must be a sequence"),
        ({"target_layers": (0,)}, "`target_layers` must be a positive"),
        (
            {"clustering": LatentTargets(), "num_clusters": 4},
            "`num_clusters` must be that of `clustering`.*=None",
        ),
        (
            {
                "backbone": make_backbone(predictor_hidden_dim=8),
                **clustering(DistilledTargets(4)),
            },
            "`predictor_hidden_dim` must be `hidden_dim`",
        ),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_model(**arguments)
