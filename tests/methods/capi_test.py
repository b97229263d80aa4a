"""CAPI under `fit`, `evaluate` and `predict`, on the active backend."""

import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_indices
from helpers import make_model
from helpers import to_numpy
from helpers import weights_of
from keras import ops

import keras_capi

LOG_NAMES = {
    "loss",
    "capi_loss",
    "clustering_loss",
    "target_entropy",
}
RATE_NAMES = {"learning_rate", "clustering_learning_rate", "ema_momentum"}
IS_TORCH = keras.backend.backend() == "torch"


def all_finite(history):
    return all(np.isfinite(values).all() for values in history.values())


class Batches(keras.utils.PyDataset):
    """Two batches of images, with labels that nobody needs."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return make_images(seed=index), np.zeros(4)


def array_data():
    # As many as in the batches of the others.
    return make_images(4)


def py_dataset():
    return Batches()


def tf_dataset():
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(make_images(8)).batch(4)


def torch_data_loader():
    import torch

    images = torch.utils.data.TensorDataset(torch.from_numpy(make_images(8)))
    return torch.utils.data.DataLoader(images, batch_size=4)


def grain_dataset():
    import grain

    return grain.MapDataset.source(list(make_images(8))).batch(4).repeat()


def masked_tf_dataset():
    import tensorflow as tf

    inputs = {"images": make_images(8), **make_indices(8)}
    return tf.data.Dataset.from_tensor_slices(inputs).batch(4)


def test_fits_all_kinds_of_data():
    model = make_model()
    for make_data in (
        array_data,
        py_dataset,
        tf_dataset,
        torch_data_loader,
        grain_dataset,
        masked_tf_dataset,
    ):
        # Keras does not know the length of grain's data sets.
        steps = 2 if make_data is grain_dataset else None
        history = model.fit(
            make_data(), steps_per_epoch=steps, shuffle=False, verbose=0
        ).history
        assert set(history) == LOG_NAMES | RATE_NAMES, make_data.__name__
        assert all_finite(history)
        total = np.add(history["capi_loss"], history["clustering_loss"])
        np.testing.assert_allclose(history["loss"], total, rtol=1e-5)
        assert 0 < history["target_entropy"][0] < np.log(8)


def test_learns_the_assignments():
    """Overfits one batch: the loss falls well below a uniform guess."""
    model = make_model(
        compile_arguments={
            "optimizer": keras_capi.optimizers.capi_optimizer(
                1e-2, clustering_learning_rate=1e-2
            )
        },
        ema_momentum=0.99,
    )
    inputs = {"images": make_images(8), **make_indices(8)}
    first = model.train_on_batch(inputs, return_dict=True)
    for _ in range(60):
        last = model.train_on_batch(inputs, return_dict=True)
    assert last["capi_loss"] < 0.8 * first["capi_loss"]
    assert last["capi_loss"] < 0.8 * np.log(8)
    assert last["clustering_loss"] < 0.8 * first["clustering_loss"]


@pytest.mark.usefixtures("untraced_once")
def test_teacher_is_the_moving_average():
    model = make_model(ema_momentum=0.7)
    pairs = [
        (model.student, model.teacher),
        (model.prototype_head, model.teacher_prototype_head),
    ]
    for student, teacher in pairs:
        for ours, theirs in zip(student.weights, teacher.weights, strict=True):
            np.testing.assert_array_equal(to_numpy(ours), to_numpy(theirs))
    before = [weights_of(teacher) for _, teacher in pairs]
    model.train_on_batch(make_images())
    for (student, teacher), old in zip(pairs, before, strict=True):
        expected = [
            0.7 * average + 0.3 * weight
            for average, weight in zip(old, weights_of(student), strict=True)
        ]
        for mean, value in zip(expected, weights_of(teacher), strict=True):
            np.testing.assert_allclose(value, mean, atol=1e-6)


@pytest.mark.usefixtures("untraced_once")
def test_the_teacher_and_its_targets_get_no_gradient():
    model = make_model()
    trained = {id(variable) for variable in model.trainable_variables}
    for part in (model.teacher, model.teacher_prototype_head):
        assert not trained & {id(variable) for variable in part.weights}
    # The clustering moves by its own loss only, the student by CAPI's.
    inputs = {"images": make_images(), **make_indices()}
    model.compile(keras.optimizers.SGD(0.1))
    kernel = to_numpy(model.clustering.kernel)
    model.student_temperature = 1e6
    model.train_on_batch(inputs)
    assert (to_numpy(model.clustering.kernel) != kernel).any()


def test_evaluate_changes_no_weight():
    model = make_model(make_backbone(drop_path_rate=0.5))
    before = weights_of(model)
    logs = model.evaluate(
        {"images": make_images(8), **make_indices(8)},
        batch_size=4,
        return_dict=True,
        verbose=0,
    )
    assert set(logs) == LOG_NAMES
    for old, new in zip(before, weights_of(model), strict=True):
        np.testing.assert_array_equal(old, new)
    # Without stochastic depth the same batch gives the same losses.
    again = model.evaluate(
        {"images": make_images(8), **make_indices(8)},
        batch_size=4,
        return_dict=True,
        verbose=0,
    )
    assert again == logs
    validation = model.fit(
        make_images(4), validation_data=(make_images(8),), verbose=0
    )
    assert "val_capi_loss" in validation.history


def test_predict_gives_the_teachers_features():
    model = make_model(make_backbone(predictor_hidden_dim=24))
    model.train_on_batch(make_images())
    images = make_images(5, height=16, width=24)
    features = model.predict(images, batch_size=2, verbose=0)
    shapes = {name: feature.shape for name, feature in features.items()}
    assert shapes == {
        "global": (5, 24),
        "registers": (5, 4, 16),
        "feature_map": (5, 4, 6, 16),
    }
    expected = model.teacher(images)
    for name, feature in features.items():
        np.testing.assert_allclose(feature, to_numpy(expected[name]), atol=1e-5)


def test_any_image_shape():
    model = make_model(make_backbone(image_shape=(None, None, 5)))
    images = make_images(4, 24, 16, channels=5)
    assert np.isfinite(model.train_on_batch(images)[0])


def test_changing_image_size():
    model = make_model()
    model.train_on_batch(make_images(4, 16, 24))
    if keras.backend.backend() == "tensorflow":
        # Keras compiles the second size for all sizes.
        with pytest.raises(ValueError, match="the same in all batches"):
            model.train_on_batch(make_images(4, 32, 16))
    else:
        model.train_on_batch(make_images(4, 32, 16))
    # Features can be had at any size everywhere.
    for height, width in ((16, 16), (24, 16), (8, 20)):
        features = model.predict(make_images(2, height, width), verbose=0)
        expected = (2, height // 4, width // 4, 16)
        assert features["feature_map"].shape == expected


def losses_of_fit(**compile_arguments):
    """The losses of two epochs of two steps, from one seed."""
    keras.utils.set_random_seed(0)
    model = make_model(
        compile_arguments={
            **compile_arguments,
            "optimizer": keras_capi.optimizers.capi_optimizer(1e-2),
        }
    )
    history = model.fit(
        {"images": make_images(8), **make_indices(8)},
        batch_size=4,
        epochs=2,
        shuffle=False,
        verbose=0,
    ).history
    return history["loss"]


@pytest.fixture(scope="module")
def usual_losses():
    return losses_of_fit()


@pytest.mark.parametrize(
    "arguments",
    [
        {"jit_compile": False},
        {"run_eagerly": True},
        pytest.param(
            {"jit_compile": True},
            marks=pytest.mark.skipif(
                IS_TORCH, reason="torch.compile takes minutes"
            ),
        ),
        pytest.param(
            {"steps_per_execution": 2},
            marks=pytest.mark.skipif(
                IS_TORCH, reason="Keras has no such loop on torch"
            ),
        ),
    ],
    ids=str,
)
def test_ways_to_run(arguments, usual_losses):
    """However the step is run, it computes the same."""
    losses = losses_of_fit(**arguments)
    np.testing.assert_allclose(losses, usual_losses, rtol=1e-4)


@pytest.fixture(scope="module")
def first_logs():
    """Of one step in float32."""
    keras.utils.set_random_seed(0)
    inputs = {"images": make_images(), **make_indices()}
    return make_model().train_on_batch(inputs, return_dict=True)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(policy, first_logs, monkeypatch):
    inputs = {"images": make_images(), **make_indices()}
    keras.config.set_dtype_policy(policy)
    model = make_model()
    assert {weight.dtype for weight in model.weights} == {"float32"}
    half = policy.removeprefix("mixed_")
    assignments, _ = model.clustering(
        ops.cast(make_images(4, 4, 4, 16).reshape(4, 16, 16), half)
    )
    np.testing.assert_allclose(
        to_numpy(assignments).sum(axis=-1), 1.0, atol=1e-5
    )
    # As they are in the step: to compute them apart compiles more on JAX.
    compute_losses, kinds = model.compute_losses, []

    def note_kinds(*arguments, **keywords):
        losses = compute_losses(*arguments, **keywords)
        kinds.extend(
            keras.backend.standardize_dtype(loss.dtype)
            for loss in losses.values()
        )
        return losses

    monkeypatch.setattr(model, "compute_losses", note_kinds)
    encode_patches, features = model.teacher.encode_patches, []

    def note_features(*arguments, **keywords):
        patches = encode_patches(*arguments, **keywords)
        features.append(keras.backend.standardize_dtype(patches.dtype))
        return patches

    monkeypatch.setattr(model.teacher, "encode_patches", note_features)
    logs = model.train_on_batch(inputs, return_dict=True)
    assert set(kinds) == {"float32"}
    assert features and set(features) == {half}
    for name in LOG_NAMES:
        assert logs[name] == pytest.approx(first_logs[name], rel=0.05), name
    features = model.predict(inputs["images"], verbose=0)
    assert features["global"].dtype.name == half


def test_a_skipped_step_skips_the_teacher_too():
    keras.config.set_dtype_policy("mixed_float16")
    model = make_model()
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    inputs = {"images": make_images(), **make_indices()}
    model.train_on_batch(inputs)
    # A scale beyond the range of float16 makes all gradients overflow.
    model.optimizer.dynamic_scale.assign(2.0**100)
    before, iterations = weights_of(model), int(model.optimizer.iterations)
    model.train_on_batch(inputs)
    assert int(model.optimizer.iterations) == iterations
    for old, new in zip(before, weights_of(model), strict=True):
        np.testing.assert_array_equal(old, new)
    model.optimizer.dynamic_scale.assign(1.0)
    model.train_on_batch(inputs)
    assert int(model.optimizer.iterations) == iterations + 1


@pytest.mark.parametrize("drop_path_rate", [0.0, 0.5])
def test_rematerialisation_changes_no_number(drop_path_rate):
    losses = []
    for mode in (None, "full"):
        keras.utils.set_random_seed(0)
        with keras.RematScope(mode=mode):
            model = make_model(make_backbone(drop_path_rate=drop_path_rate))
        inputs = {"images": make_images(), **make_indices()}
        losses.append([model.train_on_batch(inputs)[0] for _ in range(3)])
    np.testing.assert_allclose(*losses, rtol=1e-4)


@pytest.mark.parametrize("queue_size", [0, 6])
def test_chunks_of_the_clustering_change_no_number(queue_size):
    weights = []
    for chunk_size in (None, 5):
        keras.utils.set_random_seed(0)
        model = make_model(
            make_backbone(image_shape=(16, 16, 3)),
            clustering=keras_capi.layers.OnlineClustering(
                8, chunk_size=chunk_size, queue_size=queue_size
            ),
        )
        model.fit(make_images(8), batch_size=4, epochs=2, verbose=0)
        weights.append(weights_of(model))
    for weight, expected in zip(*weights, strict=True):
        np.testing.assert_allclose(weight, expected, atol=1e-5)


def test_a_queue_needs_the_image_shape():
    clustering = keras_capi.layers.OnlineClustering(8, queue_size=6)
    with pytest.raises(ValueError, match="give the backbone its `image_shape`"):
        make_model(clustering=clustering)


@pytest.mark.usefixtures("untraced_once")
def test_own_parts():
    clustering = keras_capi.layers.OnlineClustering(
        6, positionwise=False, use_bias=False, name="mine"
    )
    model = make_model(
        num_clusters=6,
        clustering=clustering,
        masking=keras_capi.layers.RandomMasking(
            (4, 4), mask_ratio=0.5, prediction_ratio=1.0
        ),
    )
    kernel = next(
        v for v in model.trainable_variables if v is clustering.kernel
    )
    assert kernel is model.parameter_groups()["clustering"][0]
    assert np.isfinite(model.train_on_batch(make_images())[0])
    assert model.prototype_head.num_prototypes == 6


def test_a_frozen_backbone_is_refused():
    teacher = make_model().teacher
    with pytest.raises(ValueError, match="encoder and predictor cannot train"):
        make_model(teacher)
    teacher.trainable = True
    make_model(teacher)
    backbone = make_backbone()
    backbone.predictor.trainable = False
    with pytest.raises(ValueError, match="whose predictor cannot train"):
        make_model(backbone)


def test_a_size_of_training_that_is_none():
    # Though no rate depends on the batch size, as with other methods. Without
    # steps, the rates would not follow the published schedule.
    for size in (0, -1, "64", 1.5, None):
        with pytest.raises(ValueError, match="`batch_size` must be a positive"):
            make_model().published_optimizer(100, size)
        with pytest.raises(ValueError, match="`total_steps` must be a positiv"):
            make_model().published_optimizer(size, 64)


@pytest.mark.skipif(IS_TORCH, reason="torch.compile takes minutes")
def test_positions_in_chunks_of_batches_of_unknown_size():
    """Which XLA compiles, as `fit` has large models of TensorFlow compiled."""
    clustering = keras_capi.layers.OnlineClustering(8, chunk_size=6)
    model = make_model(
        clustering=clustering, compile_arguments={"jit_compile": True}
    )
    history = model.fit(tf_dataset(), shuffle=False, verbose=0).history
    assert np.isfinite(history["loss"]).all()
