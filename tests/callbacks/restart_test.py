"""A training goes on with the settings that it began with, or not at all."""

import json

import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_denoising
from helpers import make_images
from helpers import make_masking
from helpers import make_model
from helpers import make_vit
from helpers import to_numpy
from helpers import weights_of

import keras_capi
from keras_capi.callbacks import Checkpoint
from keras_capi.callbacks.checkpoint_folder import CheckpointFolder
from keras_capi.callbacks.model_state import state_in_memory
from keras_capi.data import AugmentedImages
from keras_capi.data import RandomCrops
from keras_capi.optimizers import WarmupCosine
from keras_capi.optimizers import capi_optimizer

# What is not about CAPI's own settings trains a smaller model.
pytestmark = pytest.mark.usefixtures("untraced")


def make_crops(num_images=3, **overrides):
    arguments = {
        "crop_size": 16,
        "batch_size": 4,
        "num_batches": 4,
        "seed": 0,
        **overrides,
    }
    return RandomCrops(list(make_images(num_images, 20, 24)), **arguments)


class Stop(keras.callbacks.Callback):
    """Ends a training at a step as a crash does."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_begin(self, batch, logs=None):
        if batch == self.step:
            raise InterruptedError


def fit(folder, crops=None, model=None, epochs=1, stop=None, extra=()):
    keras.utils.set_random_seed(0)
    crops = crops or make_crops()
    model = model or make_denoising()
    checkpoint = Checkpoint(folder, crops, every=1)
    callbacks = [*extra, *([] if stop is None else [Stop(stop)]), checkpoint]
    model.fit(crops, epochs=epochs, callbacks=callbacks, verbose=0)
    return model


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A folder with checkpoints of an interrupted epoch."""
    folder = tmp_path_factory.mktemp("interrupted")
    with pytest.raises(InterruptedError):
        fit(folder, model=make_model(), stop=3)
    return folder


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("batch_size: 4 before, 8 now", {"batch_size": 8}),
        ("epoch_length: 4 before, 3 now", {"num_batches": 3}),
        ("epoch_length: 4 before, 1 now", {"num_batches": 1}),
        ("epoch_length: 4 before, 9 now", {"num_batches": 9}),
        ("num_images: 3 before, 2 now", {"num_images": 2}),
        ("crop_size: 16 before, 12 now", {"crop_size": 12}),
        ("seed: 0 before, 1 now", {"seed": 1}),
        ("seed: 0 before, None now", {"seed": None}),
        ("augment: None before, ReLU now", {"augment": keras.layers.ReLU()}),
    ],
)
def test_refuses_other_data(interrupted, name, change):
    with pytest.raises(ValueError, match=rf"data\.{name}"):
        fit(interrupted, make_crops(**change), make_model())


@pytest.mark.parametrize(
    ("name", "make"),
    [
        (
            "model.backbone.num_layers: 1 before, 2 now",
            lambda: make_model(make_backbone(num_layers=2)),
        ),
        (
            "model.num_clusters: 8 before, 6 now",
            lambda: make_model(num_clusters=6),
        ),
        (
            "model.masking.prediction_ratio: 0.3 before, 0.2 now",
            lambda: make_model(masking=make_masking(prediction_ratio=0.2)),
        ),
        (
            "model.student_temperature: 0.12 before, 0.1 now",
            lambda: make_model(student_temperature=0.1),
        ),
        (
            "optimizer.class: CAPIOptimizer before, SGD now",
            lambda: make_model(compile_arguments={"optimizer": "sgd"}),
        ),
        (
            "optimizer.beta_2: 0.95 before, 0.99 now",
            lambda: make_model(
                compile_arguments={"optimizer": capi_optimizer(beta_2=0.99)}
            ),
        ),
        (
            "optimizer.learning_rate.class: nothing before, WarmupCosine now",
            lambda: make_model(
                compile_arguments={"optimizer": capi_optimizer(total_steps=9)}
            ),
        ),
    ],
)
def test_refuses_another_model_and_optimizer(interrupted, name, make):
    model = make()
    before = weights_of(model)
    with pytest.raises(ValueError, match=name):
        fit(interrupted, model=model)
    for weight, expected in zip(weights_of(model), before, strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_refuses_other_arrays(tmp_path):
    def fit(images, **options):
        checkpoint = Checkpoint(tmp_path)
        make_denoising().fit(
            images, callbacks=[checkpoint], verbose=0, **options
        )

    fit(make_images(8))
    with pytest.raises(ValueError, match=r"data.x: \[8.*now"):
        fit(make_images(12))
    with pytest.raises(ValueError, match="data.batch_size: 8 before, 4 now"):
        fit(make_images(8), batch_size=4)
    # The default, said.
    fit(make_images(8), batch_size=32)


def test_refuses_other_augmentation(tmp_path):
    def settings(**options):
        images = np.zeros((6, 20, 20, 3), "uint8")
        options = {"image_size": 16, "batch_size": 2, **options}
        return AugmentedImages(images, **options).settings

    assert settings() == settings(workers=2)
    for change in (
        {"image_size": 12},
        {"batch_size": 3},
        {"scale": (0.5, 1.0)},
        {"aspect_ratio": (0.9, 1.1)},
        {"normalization": np.float32},
        {"samples_per_image": 2},
        {"share": (0, 2)},
        {"seed": 1},
    ):
        assert settings(**change) != settings(), change


def test_lower_rates_count_from_the_checkpoint_on(tmp_path, capsys):
    """The very way on that the error about a loss that is not finite names."""

    def make(rate, clustering_rate):
        optimizer = capi_optimizer(
            rate, clustering_learning_rate=clustering_rate
        )
        return make_model(compile_arguments={"optimizer": optimizer})

    crops = {"num_batches": 2}
    fit(tmp_path, make_crops(**crops), make(1e-3, 5e-4))
    model = fit(tmp_path, make_crops(**crops), make(1e-4, 5e-4), epochs=2)
    assert "optimizer.learning_rate: 0.001" in capsys.readouterr().out
    np.testing.assert_allclose(to_numpy(model.optimizer.learning_rate), 1e-4)
    assert int(model.optimizer.iterations) == 4
    model = fit(tmp_path, make_crops(**crops), make(1e-4, 3e-4), epochs=3)
    rate = model.optimizer.clustering_learning_rate
    np.testing.assert_allclose(to_numpy(rate), 3e-4)


def test_a_rate_that_a_callback_has_lowered_stays(tmp_path):
    def lower(epoch, logs):
        model.optimizer.learning_rate = 2e-4

    model = make_denoising()
    model.compile("adam")
    end = keras.callbacks.LambdaCallback(on_epoch_end=lower)
    fit(tmp_path, model=model, extra=[end])
    model = make_denoising()
    model.compile("adam")
    fit(tmp_path, model=model, epochs=2)
    np.testing.assert_allclose(to_numpy(model.optimizer.learning_rate), 2e-4)


def test_more_epochs_extend_a_training_and_its_schedules(tmp_path, capsys):
    def make(total_steps):
        return make_model(
            ema_momentum=WarmupCosine(0.9, total_steps, final_value=1.0),
            compile_arguments={
                "optimizer": capi_optimizer(total_steps=total_steps)
            },
        )

    crops = {"num_batches": 2}
    fit(tmp_path, make_crops(**crops), make(2))
    capsys.readouterr()
    fit(tmp_path, make_crops(**crops), make(2))
    assert "Already finished: epoch 1" in capsys.readouterr().out
    model = fit(tmp_path, make_crops(**crops), make(6), epochs=3)
    output = capsys.readouterr().out
    assert "optimizer.learning_rate.total_steps: 2 before, 6 now" in output
    assert "Resuming from epoch 2, batch 0." in output
    assert int(model.optimizer.iterations) == 6


def test_one_model_goes_on_in_one_session(tmp_path):
    """What training makes of its configuration is no other setting."""
    model = fit(tmp_path)
    fit(tmp_path, model=model, epochs=2)
    fit(tmp_path, epochs=3)
    assert int(model.optimizer.iterations) == 8


def test_says_where_it_goes_on(tmp_path, capsys):
    with pytest.raises(InterruptedError):
        fit(tmp_path, stop=2)
    assert "Going on" not in capsys.readouterr().out
    fit(tmp_path, make_crops(workers=2))
    assert "Resuming from epoch 1, batch 2." in capsys.readouterr().out


def test_fewer_epochs_than_were_begun_are_finished(tmp_path):
    with pytest.raises(InterruptedError):
        fit(tmp_path, epochs=2, stop=2, extra=[])
    model = fit(tmp_path, epochs=0)
    assert int(model.optimizer.iterations) == 2


def as_by_a_former_version(folder):
    for path in folder.glob("checkpoint-*"):
        (path / "SHA256SUMS").unlink()
        state = json.loads((path / "state.json").read_text())
        state = {name: state[name] for name in ("epoch", "batch")}
        (path / "state.json").write_text(json.dumps(state))


def test_checkpoints_of_a_former_version(tmp_path):
    """They have neither settings nor checksums: the arrays must fit."""
    expected = fit(tmp_path / "whole", epochs=2)
    fit(tmp_path / "parts")
    as_by_a_former_version(tmp_path / "parts")
    deep = make_denoising(make_vit(num_layers=2))
    otherwise = make_denoising()
    otherwise.compile("sgd")
    for other in (deep, otherwise):
        with pytest.raises(ValueError, match="same model and optimizer"):
            fit(tmp_path / "parts", model=other)
    deeper = state_in_memory(make_denoising(make_vit(num_layers=2)))
    (tmp_path / "deeper").mkdir()
    CheckpointFolder(tmp_path / "deeper").write(1, 0, deeper, {})
    as_by_a_former_version(tmp_path / "deeper")
    with pytest.raises(ValueError, match="same model and optimizer"):
        fit(tmp_path / "deeper")
    model = fit(tmp_path / "parts", epochs=2)
    for weight, whole in zip(
        weights_of(model), weights_of(expected), strict=True
    ):
        np.testing.assert_array_equal(weight, whole)


def test_a_shorter_epoch_of_a_former_version_ends_with_an_error(tmp_path):
    with pytest.raises(InterruptedError):
        fit(tmp_path, stop=3)
    as_by_a_former_version(tmp_path)
    for num_batches in (1, 2, 3):
        with pytest.raises(ValueError, match=f"of {num_batches} batches"):
            fit(tmp_path, make_crops(num_batches=num_batches))


def make_classifier(layers=1):
    keras.utils.set_random_seed(0)
    classifier = keras_capi.models.CAPIClassifier(
        make_backbone(num_layers=layers), num_classes=3
    )
    classifier.compile(
        "adamw",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return classifier


def test_fine_tuning_goes_on(tmp_path):
    def fit(folder, classifier, epochs):
        checkpoint = Checkpoint(tmp_path / folder)
        classifier.fit(
            make_images(6),
            np.arange(6) % 3,
            epochs=epochs,
            shuffle=False,
            callbacks=[checkpoint],
            verbose=0,
        )
        return weights_of(classifier)

    expected = fit("whole", make_classifier(), 2)
    fit("parts", make_classifier(), 1)
    with pytest.raises(ValueError, match="num_layers: 1 before, 2 now"):
        fit("parts", make_classifier(layers=2), 2)
    for weight, whole in zip(
        fit("parts", make_classifier(), 2), expected, strict=True
    ):
        np.testing.assert_array_equal(weight, whole)


def test_labelled_images_stay_shuffled(tmp_path, monkeypatch):
    shuffled = []

    def fit(model, *args, shuffle=True, **kwargs):
        shuffled.append(shuffle)

    monkeypatch.setattr(keras.Model, "fit", fit)
    images, labels = make_images(6), np.arange(6) % 3
    make_classifier().fit(images, labels, callbacks=[Checkpoint(tmp_path)])
    make_denoising().fit(images, callbacks=[Checkpoint(tmp_path)])
    assert shuffled == [True, False]


def test_refuses_models_whose_fit_does_not_go_on(tmp_path):
    model = keras.Sequential([keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    data = np.zeros((4, 3)), np.zeros((4, 2))
    with pytest.raises(ValueError, match="BackupAndRestore.*Sequential"):
        model.fit(*data, callbacks=[Checkpoint(tmp_path)], verbose=0)
    assert not any(tmp_path.iterdir())


def test_goes_on_in_a_list_of_keras(tmp_path):
    """Whose callbacks are made sure of as those of an ordinary list are."""
    images = make_images(4)
    for epoch in range(2):
        callbacks = keras.callbacks.CallbackList([Checkpoint(tmp_path)])
        history = make_denoising().fit(
            images, epochs=epoch + 1, callbacks=callbacks, verbose=0
        )
        assert history.epoch == [epoch]
    callbacks = keras.callbacks.CallbackList([])
    with pytest.raises(RuntimeError, match="not finite"):
        make_denoising().fit(images * np.nan, callbacks=callbacks, verbose=0)


def test_refuses_two_of_them(tmp_path):
    callbacks = [Checkpoint(tmp_path / "1"), Checkpoint(tmp_path / "2")]
    with pytest.raises(ValueError, match="one `Checkpoint`"):
        make_denoising().fit(make_images(4), callbacks=callbacks)


def read_history(path):
    lines = path.read_text().splitlines()
    rows = [line.split(",") for line in lines]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def test_history_has_one_whole_row_for_each_epoch(tmp_path):
    """Of an interrupted epoch, and of one that ended before its checkpoint."""

    def fit_and_log(folder, stop=None, crash=False):
        logger = keras.callbacks.CSVLogger(f"{folder}.csv", append=True)
        extra = [logger]
        if crash:

            def end(epoch, logs):
                raise InterruptedError

            extra.append(keras.callbacks.LambdaCallback(on_epoch_end=end))
        try:
            fit(folder, epochs=3, stop=stop, extra=extra)
        finally:
            logger.csv_file.close()

    fit_and_log(tmp_path / "whole")
    for options in ({"crash": True}, {"stop": 2}, {"crash": True}):
        with pytest.raises(InterruptedError):
            fit_and_log(tmp_path / "parts", **options)
    fit_and_log(tmp_path / "parts")
    expected = read_history(tmp_path / "whole.csv")
    history = read_history(tmp_path / "parts.csv")
    assert [row["epoch"] for row in history] == ["0", "1", "2"]
    for row, whole in zip(history, expected, strict=True):
        for name in ("loss", "pixel_loss", "learning_rate"):
            np.testing.assert_allclose(
                float(row[name]), float(whole[name]), rtol=1e-6
            )
