import keras
import numpy as np
import pytest
from helpers import make_images
from helpers import make_mae

from keras_capi.visualization import training_curves

CURVES = {
    "loss": [9.0, 8.0, 7.0],
    "capi_loss": [4.0, 3.0, 2.0],
    "clustering_loss": [5.0, 5.0, 5.0],
    "target_entropy": [1.0, 1.5, 1.0],
    "learning_rate": [1e-3, 1e-3, 1e-3],
}


def lines_of(figure):
    (axes,) = figure.axes
    return {line.get_label(): line for line in axes.lines}


def test_curves(tmp_path):
    figure = training_curves(CURVES)
    lines = lines_of(figure)
    assert set(lines) == {
        "CAPI loss",
        "clustering loss",
        "entropy of the targets",
    }
    np.testing.assert_array_equal(lines["CAPI loss"].get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(lines["CAPI loss"].get_ydata(), [4, 3, 2])
    figure.savefig(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_history_validation_and_ceiling():
    history = keras.callbacks.History()
    history.history = {**CURVES, "val_capi_loss": [4.0, 3.5, 3.0]}
    lines = lines_of(training_curves(history, ceiling=4.5))
    assert lines["CAPI loss (validation)"].get_linestyle() == "--"
    ceiling = lines["entropy of the mean assignment"]
    np.testing.assert_array_equal(ceiling.get_ydata(), [4.5, 4.5])


def test_validation_of_some_epochs(tmp_path):
    """Each value is drawn at its epoch, also when a training goes on."""
    path = tmp_path / "history.csv"
    arguments = {"validation_data": (make_images(4), None), "verbose": 0}
    model = make_mae()
    for first, last, frequency, trained, validated in (
        (0, 5, 2, [1, 2, 3, 4, 5], [2, 4]),
        (5, 8, [1, 6, 8], [6, 7, 8], [6, 8]),
    ):
        history = model.fit(
            make_images(4),
            initial_epoch=first,
            epochs=last,
            validation_freq=frequency,
            callbacks=[keras.callbacks.CSVLogger(path)],
            **arguments,
        )
        for given in (history, path):
            lines = lines_of(training_curves(given))
            assert [*lines["pixel loss"].get_xdata()] == trained
            line = lines["pixel loss (validation)"]
            assert [*line.get_xdata()] == validated
            np.testing.assert_allclose(
                line.get_ydata(), history.history["val_pixel_loss"]
            )


def test_a_dictionary_does_not_know_which_epochs_are_left_out():
    curves = {**CURVES, "val_capi_loss": [3.5]}
    with pytest.raises(ValueError, match="1 values of 'val_capi_loss', for 3"):
        training_curves(curves)


def test_missing_curves_are_left_out():
    lines = lines_of(training_curves({"capi_loss": [2.0]}))
    assert set(lines) == {"CAPI loss"}


def test_other_methods():
    figure = training_curves({"loss": [2.0], "pixel_loss": [1.0]})
    assert set(lines_of(figure)) == {"pixel loss"}
    assert figure.axes[0].get_ylabel() == "loss"
    curves = {"val_a_loss": [1.0], "a_loss": [2.0], "target_entropy": [1.0]}
    figure = training_curves({**curves, "added_loss": []})
    assert set(lines_of(figure)) == {
        "a loss",
        "a loss (validation)",
        "entropy of the targets",
    }
    assert figure.axes[0].get_ylabel() == "nats"


def test_history_without_curves():
    with pytest.raises(ValueError, match=r"`history` must .*\['accuracy'\]"):
        training_curves({"accuracy": [0.5]})


def test_steps_are_a_second_axis():
    figure = training_curves(CURVES, steps_per_epoch=25)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    (steps,) = axes.child_axes
    assert steps.get_xlabel() == "step"
    np.testing.assert_allclose(
        steps.get_xlim(), np.multiply(axes.get_xlim(), 25)
    )
    with pytest.raises(ValueError, match="`steps_per_epoch` must be"):
        training_curves(CURVES, steps_per_epoch=0)


def test_a_single_epoch_is_a_point():
    line = lines_of(training_curves({"capi_loss": [2.0]}))["CAPI loss"]
    assert line.get_marker() == "o"


def test_negative_losses_are_above_the_lower_edge():
    """Such as DINOv2's KoLeo, of features that are far from each other."""
    for losses in ([-0.3, -0.5], [0.2, -0.5]):
        curves = {"koleo_loss": losses, "dino_loss": [2.0, 1.0]}
        low, high = training_curves(curves).axes[0].get_ylim()
        assert low < -0.5 and high > 2.0
        low, high = training_curves({"koleo_loss": losses}).axes[0].get_ylim()
        assert low < min(losses) and high > max(losses)
    assert training_curves(CURVES).axes[0].get_ylim()[0] == 0
