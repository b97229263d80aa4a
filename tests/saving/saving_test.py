"""Saving, going on in a new process, and going over to another backend."""

import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_indices
from helpers import make_model
from helpers import to_numpy
from helpers import weights_of
from python_path import python_path

import keras_capi

WORKER = pathlib.Path(__file__).parent / "worker.py"
BACKENDS = ("jax", "tensorflow", "torch")


def save(model, data, folder):
    """Saves what `worker.py` reads."""
    folder.mkdir(exist_ok=True)
    model.save(folder / "model.keras")
    np.savez(folder / "data.npz", **data)


def run_worker(backend, *folders):
    """Runs `worker.py` in a new process and returns the results of each."""
    subprocess.run(
        [sys.executable, WORKER, *folders],
        check=True,
        env={
            **os.environ,
            "KERAS_BACKEND": backend,
            "PYTHONPATH": python_path(backend, WORKER.parents[2]),
        },
    )
    found = []
    for folder in folders:
        with np.load(folder / "results.npz") as results:
            found.append(dict(results))
    return found


def run_here(model, data):
    sys.path.insert(0, str(WORKER.parent))
    try:
        from worker import run
    finally:
        sys.path.pop(0)
    return run(model, data)


def make_training_model(total_steps=20, accumulation=None):
    """A model that uses all that has a state."""
    Schedule = keras_capi.optimizers.WarmupCosine
    return make_model(
        make_backbone(drop_path_rate=0.3),
        ema_momentum=Schedule(0.9, total_steps, 2, 1.0, 1.0),
        compile_arguments={
            "optimizer": keras_capi.optimizers.capi_optimizer(
                1e-2,
                total_steps=total_steps,
                gradient_accumulation_steps=accumulation,
            )
        },
    )


def make_steps(count, seed=0):
    return np.stack([make_images(seed=seed + step) for step in range(count)])


def test_goes_on_in_a_new_process_bit_for_bit(tmp_path):
    data = {"images": make_steps(5, seed=5)}
    runs = {}
    for policy, accumulation in (
        ("float32", None),
        ("mixed_float16", None),
        ("float32", 3),
    ):
        keras.utils.set_random_seed(0)
        keras.config.set_dtype_policy(policy)
        model = make_training_model(accumulation=accumulation)
        for images in make_steps(5):
            model.train_on_batch(images)
        folder = tmp_path / f"{policy}, {accumulation}"
        save(model, data, folder)
        runs[folder] = run_here(model, data)
    # One process for all, as it takes seconds to start.
    results = run_worker(keras.backend.backend(), *runs)
    for (folder, here), there in zip(runs.items(), results, strict=True):
        assert there.keys() == here.keys()
        for name, values in here.items():
            message = f"{folder.name}: {name}"
            np.testing.assert_array_equal(values, there[name], message)


def test_a_model_goes_over_to_another_backend(tmp_path):
    """Same features; same five steps with given masks; checkpoints fit."""
    backend = keras.backend.backend()
    other = BACKENDS[(BACKENDS.index(backend) + 1) % len(BACKENDS)]
    model = make_model(
        compile_arguments={
            "optimizer": keras_capi.optimizers.capi_optimizer(
                1e-3, total_steps=20, warmup_steps=2
            )
        }
    )
    for images in make_steps(3):
        model.train_on_batch({"images": images, **make_indices()})
    checkpoint = keras_capi.callbacks.Checkpoint(tmp_path / "checkpoints")
    batch = {"images": images, **make_indices()}
    model.fit(batch, batch_size=len(images), callbacks=[checkpoint], verbose=0)
    saved = model.student.get_weights()
    data = {
        "images": make_steps(5, seed=5),
        **{
            name: np.stack([values] * 5)
            for name, values in make_indices().items()
        },
    }
    save(model, data, tmp_path)
    (there,) = run_worker(other, tmp_path)
    here = run_here(model, data)
    for name, values in here.items():
        if name.startswith("features"):
            np.testing.assert_allclose(values, there[name], atol=1e-5)
    np.testing.assert_allclose(here["losses"], there["losses"], atol=1e-4)
    np.testing.assert_array_equal(there["position"], [1, 0])
    for i, weight in enumerate(saved):
        np.testing.assert_array_equal(there[f"restored/{i}"], weight)


def test_weights_file_holds_the_whole_state(tmp_path):
    model = make_training_model()
    steps = make_steps(6)
    for images in steps[:3]:
        model.train_on_batch(images)
    model.save_weights(tmp_path / "state.weights.h5")
    restored = make_training_model()
    restored.optimizer.build(restored.trainable_variables)
    restored.load_weights(tmp_path / "state.weights.h5")
    for images in steps[3:]:
        assert model.train_on_batch(images) == restored.train_on_batch(images)
    for ours, theirs in zip(
        weights_of(model), weights_of(restored), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


class Interruption(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


def test_backup_and_restore(tmp_path):
    images = make_images(8)

    def fit(model, *callbacks):
        backup = keras.callbacks.BackupAndRestore(tmp_path)
        model.fit(
            images,
            batch_size=4,
            epochs=4,
            shuffle=False,
            callbacks=[*callbacks, *([backup] if callbacks else [])],
            verbose=0,
        )
        return weights_of(model)

    expected = fit(make_training_model())
    keras.utils.set_random_seed(0)
    with pytest.raises(KeyboardInterrupt):
        fit(make_training_model(), Interruption())
    # Another initialisation, so that only the backup can explain the rest.
    keras.utils.set_random_seed(1)
    restored = fit(make_training_model(), keras.callbacks.Callback())
    for ours, theirs in zip(expected, restored, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_backbone_saved_alone(tmp_path):
    model = make_model(make_backbone(predictor_hidden_dim=24, mlp_dim=40))
    model.train_on_batch(make_images())
    images = make_images(2, 24, 16)
    for backbone in (model.student, model.teacher):
        expected = backbone(images)
        backbone.save(tmp_path / "backbone.keras")
        loaded = keras.saving.load_model(tmp_path / "backbone.keras")
        backbone.save_weights(tmp_path / "backbone.weights.h5")
        fresh = type(backbone).from_config(backbone.get_config())
        fresh.load_weights(tmp_path / "backbone.weights.h5")
        for copy in (loaded, fresh):
            for name, feature in copy(images).items():
                np.testing.assert_array_equal(
                    to_numpy(feature), to_numpy(expected[name])
                )


def test_config_round_trip():
    model = make_model(
        clustering=keras_capi.layers.OnlineClustering(8, positionwise=False),
        student_temperature=0.2,
        ema_momentum=keras_capi.optimizers.WarmupCosine(0.9, 10, 1, 1.0, 1.0),
    )
    copy = keras_capi.models.CAPI.from_config(model.get_config())
    assert copy.get_config() == model.get_config()
    assert copy.clustering.positionwise is False
    assert copy.student_temperature == 0.2


def test_saved_before_it_is_trained(tmp_path):
    model = make_training_model()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    images = make_images(8)
    losses = [
        m.fit(images, batch_size=4, shuffle=False, verbose=0).history["loss"]
        for m in (model, loaded)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
