import os
import signal

import keras
import numpy as np
import pytest
from helpers import make_denoising
from helpers import make_images
from helpers import make_model
from helpers import weights_of

from keras_capi.callbacks import Checkpoint
from keras_capi.data import RandomCrops
from keras_capi.fitting import step_logs

# The model is a small one: the battery has those of all methods go on.
pytestmark = pytest.mark.usefixtures("untraced")

NUM_BATCHES = 4
EPOCHS = 2


def make_crops():
    images = list(make_images(3, 20, 24))
    return RandomCrops(images, 16, 4, NUM_BATCHES, seed=0)


def train(folder, interrupt=None, at=None, epochs=EPOCHS, **options):
    """Trains a fresh model, which goes on from what is in the folder."""
    keras.utils.set_random_seed(0)
    crops = make_crops()
    model = make_denoising()
    checkpoint = Checkpoint(folder, crops, **options)
    callbacks = [checkpoint]
    if interrupt:
        steps = []

        def count(batch, logs):
            steps.append(batch)
            if len(steps) == at:
                interrupt()

        callbacks = [
            keras.callbacks.LambdaCallback(on_train_batch_end=count),
            checkpoint,
        ]
    model.fit(crops, epochs=epochs, callbacks=callbacks, verbose=0)
    return weights_of(model)


def crash():
    raise KeyboardInterrupt


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return train(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize(("at", "every"), [(4, None), (3, 2), (6, 1)])
def test_goes_on_after_a_crash(tmp_path, uninterrupted, at, every):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, crash, at, every=every)
    assert signal.getsignal(signal.SIGTERM) == before
    for weight, expected in zip(
        train(tmp_path, every=every), uninterrupted, strict=True
    ):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize("at", [3, 4])
def test_goes_on_after_a_signal(tmp_path, uninterrupted, at):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stopped:
        train(tmp_path, terminate, at)
    assert stopped.value.code == 75
    assert signal.getsignal(signal.SIGTERM) == before
    for weight, expected in zip(train(tmp_path), uninterrupted, strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_keeps_the_last_and_a_finished_training(tmp_path, uninterrupted):
    train(tmp_path, every=1, keep=3)
    checkpoints = [
        "checkpoint-000001-00000002",
        "checkpoint-000001-00000003",
        "checkpoint-000002-00000000",
    ]
    assert names(tmp_path) == checkpoints
    for weight, expected in zip(train(tmp_path), uninterrupted, strict=True):
        np.testing.assert_array_equal(weight, expected)
    assert names(tmp_path) == checkpoints


@pytest.mark.skipif(os.name == "nt", reason="no limits of that kind")
def test_full_disk(tmp_path):
    """The last good checkpoint stays, and nothing half-written."""
    import resource

    train(tmp_path, epochs=1)
    former = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, former[1]))

    try:
        with pytest.raises(OSError, match="File too large.*000001-00000000"):
            train(tmp_path, fill, at=2, every=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
    assert names(tmp_path) == ["checkpoint-000001-00000000"]


def test_half_written_checkpoints_do_not_count(tmp_path):
    partial = tmp_path / "partial-000001-00000002"
    partial.mkdir()
    (partial / "model.weights.h5").write_bytes(b"half")
    assert Checkpoint(tmp_path).restore(make_denoising()) == (0, 0)
    assert not partial.exists()


def test_arrays_go_on_at_the_epoch(tmp_path):
    images = make_images(8)

    def fit(epochs):
        keras.utils.set_random_seed(0)
        model = make_denoising()
        checkpoint = Checkpoint(tmp_path)
        model.fit(images, epochs=epochs, callbacks=checkpoint, verbose=0)
        return weights_of(model)

    fit(1)
    resumed = fit(2)
    for path in tmp_path.iterdir():
        path.rename(path.with_name("other-" + path.name))
    for weight, expected in zip(resumed, fit(2), strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_history_has_all_that_was_trained_now(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, crash, 3, every=1)
    keras.utils.set_random_seed(0)
    crops = make_crops()
    checkpoint = Checkpoint(tmp_path, crops)
    history = make_denoising().fit(
        crops, epochs=3, callbacks=checkpoint, verbose=0
    )
    assert history.epoch == [0, 1, 2]
    assert len(history.history["loss"]) == 3


@pytest.mark.parametrize("append", [False, True])
@pytest.mark.parametrize("broken", [(2, 1), (2, NUM_BATCHES - 1)])
def test_history_and_files_have_what_came_before_a_restore(
    tmp_path, append, broken
):
    logger = keras.callbacks.CSVLogger(tmp_path / "log.csv", append=append)

    def fit(folder):
        crops = BrokenCrops([broken])
        callbacks = [
            logger,
            Checkpoint(tmp_path / folder, crops, max_restores=1),
        ]
        return make_denoising().fit(
            crops, epochs=4, callbacks=callbacks, verbose=0
        )

    # Without its last batch, nothing is left of the epoch.
    epochs = [0, 1, 3] if broken[1] == NUM_BATCHES - 1 else [0, 1, 2, 3]
    history = fit("first")
    assert history.epoch == epochs
    assert len(history.history["loss"]) == len(epochs)
    assert read_epochs(tmp_path / "log.csv") == epochs
    # The callback can be used again.
    fit("second")
    again = 2 * epochs if append else epochs
    assert read_epochs(tmp_path / "log.csv") == again


@pytest.mark.parametrize("append", [False, True])
def test_files_have_all_of_an_interrupted_epoch_and_what_follows(
    tmp_path, append
):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", crash, 3, every=1)
    crops = make_crops()
    make_denoising().fit(
        crops,
        epochs=3,
        callbacks=[
            keras.callbacks.CSVLogger(tmp_path / "log.csv", append=append),
            Checkpoint(tmp_path / "run", crops),
        ],
        verbose=0,
    )
    assert read_epochs(tmp_path / "log.csv") == [0, 1, 2]


def read_epochs(path):
    header, *lines = path.read_text().splitlines()
    assert header.startswith("epoch,")
    return [int(line.partition(",")[0]) for line in lines]


class BrokenCrops(RandomCrops):
    """Some batches have infinite pixels."""

    def __init__(self, broken):
        images = list(make_images(3, 20, 24))
        super().__init__(images, 16, 4, NUM_BATCHES, seed=0)
        self.broken = broken

    def __getitem__(self, index):
        position = (self.position[0], self.position[1] + index)
        (images,) = super().__getitem__(index)
        return (images * np.inf,) if position in self.broken else (images,)


def fit_broken(folder, broken, make=make_denoising, **options):
    keras.utils.set_random_seed(0)
    crops = BrokenCrops(broken)
    model = make()
    checkpoint = Checkpoint(folder, crops, **options)
    model.fit(crops, epochs=3, callbacks=checkpoint, verbose=0)
    return model


@pytest.mark.parametrize(
    ("batch", "seconds", "make"),
    [
        (1, 0.0, make_denoising),
        # With a teacher.
        (1, np.inf, make_model),
        (NUM_BATCHES - 1, 0.0, make_denoising),
        (NUM_BATCHES - 1, np.inf, make_denoising),
    ],
)
def test_goes_back_if_the_loss_is_not_finite(
    tmp_path, batch, seconds, make, capsys, monkeypatch
):
    """To the last good weights, and past the bad batch."""
    monkeypatch.setattr(step_logs, "SECONDS", seconds)
    model = fit_broken(tmp_path, [(1, batch)], make, max_restores=1)
    assert "The loss was not finite in epoch 2" in capsys.readouterr().out
    assert names(tmp_path)[-1] == "checkpoint-000003-00000000"
    assert all(np.isfinite(weight).all() for weight in weights_of(model))
    # The updates of the first epoch, of what followed the bad batch, however
    # late it was noticed, and of the last epoch.
    updates = int(model.optimizer.iterations)
    assert updates == 2 * NUM_BATCHES + (NUM_BATCHES - 1 - batch)


def test_bad_losses_are_never_saved(tmp_path, monkeypatch):
    """Nor noticed at the wrong step, if they are read after the next ones."""
    monkeypatch.setattr(step_logs, "SECONDS", np.inf)
    with pytest.raises(RuntimeError, match="not finite at step 6"):
        fit_broken(tmp_path, [(1, 1)], every=1)
    assert names(tmp_path)[-1] == "checkpoint-000001-00000001"


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    """Their loss may still be finite: it is of the step before."""
    model = make_denoising()
    checkpoint = Checkpoint(tmp_path)
    checkpoint.set_model(model)
    kernel = model.encoder.blocks[0].mlp_hidden.kernel
    kernel.assign(kernel.value * np.nan)
    checkpoint.on_epoch_end(0, {"loss": 1.0})
    assert names(tmp_path) == []


def test_refuses_a_part_of_the_data_as_epoch(tmp_path):
    crops = make_crops()
    with pytest.raises(ValueError, match="steps_per_epoch=2"):
        make_denoising().fit(
            crops, steps_per_epoch=2, callbacks=[Checkpoint(tmp_path, crops)]
        )


def test_stops_after_so_many_restores(tmp_path):
    broken = [(1, 0), (1, 2), (2, 1)]
    fit_broken(tmp_path / "enough", broken, max_restores=3)
    with pytest.raises(RuntimeError, match="not finite"):
        fit_broken(tmp_path / "too few", broken, max_restores=2)


def test_stops_without_a_checkpoint_to_go_back_to(tmp_path):
    with pytest.raises(RuntimeError, match="not finite"):
        fit_broken(tmp_path, [(0, 1)], max_restores=3)


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="`every` needs the `dataset`"):
        Checkpoint(tmp_path, every=3)
    with pytest.raises(ValueError, match="must have a method `go_to"):
        Checkpoint(tmp_path, dataset=make_images(2))
    for signals in (("SIGTREM",), ("SIGTERM", "SIGKILL"), "SIGTERM", None, 15):
        with pytest.raises(ValueError, match="`signals` must be names"):
            Checkpoint(tmp_path, signals=signals)
    with pytest.raises(ValueError, match="`keep` must be"):
        Checkpoint(tmp_path, keep=0)
    with pytest.raises(ValueError, match="`max_restores` must be 0 or"):
        Checkpoint(tmp_path, max_restores=-1)
