"""Several devices give the results of one on the same global batches."""

import pathlib

import keras
import numpy as np
from distribution import worker
from distribution.run_worker import read_results
from distribution.run_worker import run_worker

WORKER = pathlib.Path(__file__).parent / "worker.py"
BACKEND = keras.backend.backend()
ENGINES = {
    "jax": ["data_parallel", "model_parallel", "multi_host"],
    "tensorflow": ["mirrored"],
    "torch": ["torchrun"],
}[BACKEND]
# What each engine refuses, in the order in which the worker tries it.
ERRORS = {
    "data_parallel": ["share each batch equally"],
    "mirrored": [
        "needs `jit_compile=False`",
        "needs `steps_per_execution=1`",
        "needs `gradient_accumulation_steps=None`",
    ],
    "torchrun": ["Keras must be older than 3.16. Received: Keras 3.16.0"],
}


def test_same_training_as_on_one_device(tmp_path):
    # In this process, which has imported all that it takes.
    worker.main("single", tmp_path / "single")
    (one_device,) = read_results("single", tmp_path)
    assert not len(one_device.pop("errors"))
    for engine in ENGINES:
        results = run_worker(WORKER, engine, tmp_path)
        several = engine in ("torchrun", "multi_host")
        assert len(results) == (2 if several else 1)
        for result in results:
            errors = result.pop("errors")
            for error, expected in zip(
                errors, ERRORS.get(engine, ()), strict=True
            ):
                assert expected in error
            assert result.keys() == one_device.keys()
            for name, expected in one_device.items():
                np.testing.assert_allclose(
                    result[name],
                    expected,
                    rtol=0,
                    atol=3e-6,
                    err_msg=f"{engine}: {name}",
                )
