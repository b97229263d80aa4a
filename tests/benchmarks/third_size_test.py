"""Files of the methods whose authors allow for crops of any number of sizes."""

import json

import numpy as np
import pytest

from benchmarks import parity


@pytest.mark.parametrize("method", ["swav", "deepclusterv2"])
def test_crops_of_a_third_size(method, tmp_path, capsys):
    """The small crops are split into two kinds, which changes no number."""
    stored = parity.stored_arrays(method)
    with np.load(stored) as arrays:
        arrays = dict(arrays)
    for name in [name for name in arrays if name.endswith("views_1")]:
        crops = arrays[name]
        axis = crops.ndim - 5
        first, second = np.split(crops, 2, axis)
        arrays[name] = first
        arrays[name[:-1] + "2"] = second
    path = tmp_path / stored.name
    np.savez(path, **arrays)
    description = json.loads(stored.with_suffix(".json").read_text())
    description["shapes"] = {
        name: [str(x.dtype), *x.shape] for name, x in arrays.items()
    }
    config = description["configuration"]
    config["nmb_crops"] = [2, 1, 1]
    config["size_crops"].append(config["size_crops"][1])
    path.with_suffix(".json").write_text(json.dumps(description))
    status = parity.main(["--method", method, "--arrays", str(path)])
    lines = capsys.readouterr()
    assert status == 0, lines
