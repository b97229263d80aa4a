"""Records of pairs as a table."""

from benchmarks.pair_table import table


def record(backend, ratio, **settings):
    side = {"share_of_peak": 0.5, "peak_memory_gib": 1.5}
    return {
        "what": "train",
        "method": "capi",
        "size": "tiny",
        "batch_size": 16,
        "clusters": 4096,
        "image_size": 224,
        "precision": "float32",
        "compile_theirs": "on",
        "backend": backend,
        "ratio": [ratio, 0.1, 2.0],
        "ours": side | {"step_ms": [1, 2, 3]},
        "theirs": side | {"step_ms": [3, 4, 5]},
        **settings,
    }


def test_a_row_for_each_setting():
    assert table(
        [
            record("jax", 0.7),
            record("torch", 0.9),
            record("jax", 0.5),  # measured again
            record("torch", 0.8, method="simmim", compile_theirs="off"),
        ]
    ) == [
        "| | theirs | jax | torch |",
        "| ---|---|---|--- |",
        "| CAPI tiny train, batch 16 | 4 ms, 50%, 1.5 GiB "
        "| **0.5**: 2 ms, 50%, 1.5 GiB | **0.9**: 2 ms, 50%, 1.5 GiB |",
        "| SimMIM tiny train (theirs eager), batch 16 | 4 ms, 50%, 1.5 GiB "
        "| | **0.8**: 2 ms, 50%, 1.5 GiB |",
    ]
