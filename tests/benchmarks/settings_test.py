"""Settings of the authors that the stored arrays were not made with."""

import keras
import numpy as np
import pytest

from benchmarks import parity
from benchmarks.replay import ibot
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
        "lr_scheduler": {"name": "linear"},
    }
    with pytest.raises(ValueError, match="the schedule linear is not known"):
        simmim._make_rate(settings, 6)
