"""Files that do not have what the authors' code leaves out by an option."""

import pytest
from backend_helpers import on_one_backend

from benchmarks import parity
from benchmarks.replay.comparison import compare
from benchmarks.replay.files import read_file

pytestmark = on_one_backend("what is compared does not depend on the backend")


def problems(method, arrays, description):
    """What is wrong with a file, beside its numbers."""
    description["shapes"] = {name: x.shape for name, x in arrays.items()}
    description.pop("left_out", None)
    replay = parity.METHODS[method].replay(arrays, description)
    return compare(arrays, replay, description["shapes"]).problems


def test_losses_without_a_weight_are_not_named():
    arrays, description = read_file(parity.stored_arrays("dinov2"))
    for name in description.pop("masks", ()):
        del arrays[name]
    assert any(name.endswith("/koleo_loss") for name in arrays)
    arrays = {k: x for k, x in arrays.items() if "/koleo_loss" not in k}
    weights = description["configuration"]
    message = "koleo_loss is missing"
    found = problems("dinov2", arrays, description)
    assert any(message in problem for problem in found)
    weights["koleo_weight"] = 0.0
    found = problems("dinov2", arrays, description)
    assert not any(message in problem for problem in found)


@pytest.mark.parametrize("both", [False, True])
def test_without_a_queue(both):
    """Its arrays may be there once or twice, with both names."""
    arrays, description = read_file(parity.stored_arrays("swav"))
    arrays = dict(arrays)
    for name in list(arrays):
        plain = name.replace("_without_queue", "")
        if plain != name:
            arrays[plain] = arrays[name] if both else arrays.pop(name)
    del arrays["queue"], arrays["queue_after"]
    description["configuration"]["queue_of_the_step"] = 0
    assert problems("swav", arrays, description) == []
