"""The healthy ranges against the recorded trainings, good ones and failed."""

import json
import pathlib

import pytest

from keras_capi.evaluation.healthy_ranges import HEALTHY
from keras_capi.evaluation.healthy_ranges import is_healthy

RECORD = pathlib.Path(__file__).parents[2] / "benchmarks" / "health.txt"


def read_trainings():
    """Yields the settings of each training, and its last measures."""
    trainings = []
    for line in RECORD.read_text().splitlines():
        if line.startswith("#"):
            continue
        values = json.loads(line)
        if "recipe" in values:
            trainings.append([values, {}])
        trainings[-1][1] = values
    return trainings


TRAININGS = [
    pytest.param(settings, last, id=f"{settings['recipe']}, {settings['note']}")
    for settings, last in read_trainings()
]


@pytest.mark.parametrize("settings, last", TRAININGS)
def test_ranges_tell_good_trainings_from_failed_ones(settings, last):
    unhealthy = {
        name
        for name, value in last.items()
        if name in HEALTHY and not is_healthy(name, value)
    }
    assert bool(unhealthy) == (settings["note"] is not None)
