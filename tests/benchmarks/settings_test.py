"""Settings of the authors that the stored arrays were not made with."""

import keras
import numpy as np
import pytest

from benchmarks import parity
from benchmarks.replay import colorization
from benchmarks.replay import context_encoder
from benchmarks.replay import denoising_autoencoder
from benchmarks.replay import ibot
from benchmarks.replay import igpt
from benchmarks.replay import relative_position
from benchmarks.replay import simmim
from benchmarks.replay.files import read_file

# The same on every backend.
pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="on one backend"
)


def test_losses_of_ibot_are_weighted():
    """As their loss returns them, and their training logs them."""
    arrays, config = read_file(parity.stored_arrays("ibot"))
    config |= {"lambda1": 0.5, "lambda2": 3.0}
    batch = ibot._batch(arrays)
    model = ibot.make_model(arrays, config, ibot.step_of_the_batch(config))
    losses = ibot._weighted(model, model.compute_losses(batch, training=False))
    expected = {
        "class_loss": 0.5 * arrays["loss/class"],
        "patch_loss": 3.0 * arrays["loss/patch"],
    }
    assert losses == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("scheduler", "rates"),
    [
        # What timm 0.3.2 sets with 3 epochs of 2 steps, the first to warm up.
        (
            {"name": "step", "decay_epochs": 1, "decay_rate": 0.5},
            [0.1, 0.1, 0.55, 0.5, 0.5, 0.25],
        ),
        (
            {"name": "multistep", "multisteps": [2], "gamma": 0.1},
            [0.1, 0.1, 0.55, 1.0, 1.0, 0.1],
        ),
        ({"name": "cosine"}, [0.1, 0.1, 0.55, 0.75, 0.5, 0.25]),
        ({"name": "linear"}, [0.1, 0.1, 0.55, 1.0, 0.7525, 0.505]),
        (
            {"name": "step", "decay_epochs": 9, "decay_rate": 0.1},
            [0.1, 0.1, 0.55, 1.0, 1.0, 1.0],
        ),
        (
            {"name": "multistep", "multisteps": [], "gamma": 0.1},
            [0.1, 0.1, 0.55, 1.0, 1.0, 1.0],
        ),
    ],
)
def test_schedules_of_simmim(scheduler, rates):
    settings = {
        "epochs": 3,
        "steps_per_epoch": 2,
        "warmup_epochs": 1,
        "base_lr": 1.0,
        "warmup_lr": 0.1,
        "min_lr": 0.0,
        "lr_scheduler": scheduler,
    }
    rate = simmim._make_rate(settings, 6)
    ours = [float(rate(step)) for step in range(6)]
    np.testing.assert_allclose(ours, rates, rtol=1e-6)


def test_a_schedule_that_is_not_known_is_refused():
    settings = {
        "steps_per_epoch": 2,
        "base_lr": 1.0,
        "warmup_epochs": 1,
        "lr_scheduler": {"name": "tanh"},
    }
    with pytest.raises(ValueError, match="the schedule tanh is not known"):
        simmim._make_rate(settings, 6)


def stored(method):
    arrays, description = read_file(parity.stored_arrays(method))
    return arrays, description["configuration"]


@pytest.mark.parametrize(
    ("pixel_weight", "adversarial_weight"),
    # From 1 on the authors' code adds all of the adversarial loss, and what is
    # left of 1 by the words of the paper.
    [(0.9, 0.1), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (2.0, 1.0)],
)
def test_context_encoders_of_any_pixel_weight(pixel_weight, adversarial_weight):
    arrays, config = stored("context_encoder")
    config["wtl2"] = pixel_weight
    total = (
        pixel_weight * arrays["loss/l2_weighted"]
        + adversarial_weight * arrays["loss/adversarial"]
    )
    arrays["loss/generator"] = total
    _, losses = context_encoder._forward(arrays, config)
    assert losses["loss/generator"] == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("emphasised", [False, True])
def test_losses_of_all_kinds_of_noise_are_emphasised_or_none(emphasised):
    arrays, config = stored("denoising_autoencoder")
    # Which makes no difference to noise that corrupts all.
    config |= {"main": "gaussian", "alpha": 1.0, "beta": 0.0}
    if emphasised:
        for kind in config["levels"]:
            model = denoising_autoencoder.make_model(arrays, config, kind)
            arrays[f"losses_by_noise/{kind}"] = denoising_autoencoder._loss(
                model, denoising_autoencoder._batch(arrays, model)
            )
    _, losses = denoising_autoencoder._corruptions(arrays, config)
    for name, loss in losses.items():
        assert loss == pytest.approx(arrays[name], rel=1e-4)


def test_colors_of_one_neighbor():
    bins = np.array([[0.0, 0.0], [10.0, 0.0]])
    colors = np.array([[[[1.0, 2.0]]], [[[9.0, 0.0]]]])
    ours = np.array([[[[0]]], [[[1]]]])
    compare = colorization._compare_neighbors(colors, bins, ours)
    assert compare(ours) == 0.0
    assert compare(1 - ours) > 1.0


def test_image_gpt_without_a_palette():
    arrays, config = stored("igpt")
    arrays = {k: v for k, v in arrays.items() if not k.startswith("palette/")}
    replay = igpt.replay(arrays, {"configuration": config})
    assert parity.compare(arrays, replay).passed


def test_image_gpt_of_one_kind():
    arrays, config = stored("igpt")
    arrays = {
        k: v
        for k, v in arrays.items()
        if not k.startswith("bert/") and not k.endswith("bert_uniform")
    }
    replay = igpt.replay(arrays, {"configuration": config})
    assert parity.compare(arrays, replay).passed


def test_image_gpt_that_ends_within_its_warmup():
    arrays, config = stored("igpt")
    config["optimizer"]["warmup"] = 12
    rates = igpt._training(arrays, config, True)["schedules"]["schedule/lr"]
    expected = config["optimizer"]["lr"] * np.arange(1, len(rates) + 1) / 12
    np.testing.assert_allclose(rates, expected, rtol=1e-6)


def test_relative_positions_of_patches_without_their_image():
    arrays, config = stored("relative_position")
    parts = ("image", "sampling/", "preparation/")
    arrays = {k: v for k, v in arrays.items() if not k.startswith(parts)}
    replay = relative_position.replay(arrays, {"configuration": config})
    assert parity.compare(arrays, replay).passed
