import keras
from backend_helpers import flags_of_two_devices
from examples.run_example import run_example


def test_trains_and_saves(tmp_path):
    """As a user starts it; JAX and torch with two devices."""
    launcher = []
    if keras.backend.backend() == "torch":
        launcher += ["-m", "torch.distributed.run", "--standalone"]
        launcher += ["--nproc-per-node=2"]
    finished = run_example(
        *("pretrain_on_several_devices.py", tmp_path),
        *("--batch-size=8", "--epochs=1"),
        launcher=launcher,
        OMP_NUM_THREADS="1",
        XLA_FLAGS=flags_of_two_devices(),
    )
    losses = [
        line.split(": ")[1]
        for line in finished.stdout.splitlines()
        if line.startswith("Loss of process")
    ]
    num_processes = 2 if keras.backend.backend() == "torch" else 1
    assert len(losses) == num_processes
    # All processes log the loss of the global batch.
    assert len(set(losses)) == 1
    keras.saving.load_model(tmp_path / "model.keras")
