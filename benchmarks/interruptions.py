"""Does a training that is killed go on as if nothing had happened?

    KERAS_BACKEND=jax python benchmarks/interruptions.py --trials 20

Trains a small model once without interruption, with a checkpoint after each
step. Then, in each trial, kills a training with `kill -9` once or twice and
lets the next run end. A kill comes in a step drawn from those that are left,
after the first checkpoint: at any moment of the step, or, every second time,
while a checkpoint is written. After each kill all checkpoints are read in full;
the next run has to begin with the step after the newest; and the final weights,
the states of the random generators among them, must be those of the
uninterrupted training, bit for bit.
"""

import argparse
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

MAX_KILLS = 2
EPOCHS, BATCHES = 3, 8
# Seconds. The moment of a kill is drawn from such a time after a step began,
# or after a checkpoint began to be written; either takes about as long.
LONGEST_WAIT = 0.05
PAUSE = 0.0005


def train(folder):
    """Trains in `folder`, from its newest checkpoint on."""
    import keras

    import keras_capi

    class Mark(keras.callbacks.Callback):
        """Writes down which step begins, for the one who kills."""

        def on_train_batch_begin(self, batch, logs=None):
            epoch, first_batch = crops.position
            with open(folder / "steps.txt", "a") as file:
                file.write(f"{epoch * BATCHES + first_batch + batch}\n")

    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    images = [generator.normal(size=(24, 24, 3)).astype("float32")] * 2
    crops = keras_capi.data.RandomCrops(images, 16, 4, BATCHES, seed=0)
    backbone = keras_capi.models.CAPIBackbone(
        patch_size=4,
        num_layers=1,
        predictor_num_layers=1,
        hidden_dim=16,
        num_heads=2,
        num_register_tokens=4,
        drop_path_rate=0.2,
        seed=1,
    )
    masking = keras_capi.layers.InverseBlockMasking(
        prediction_ratio=0.3, seed=2
    )
    model = keras_capi.models.CAPI(backbone, 8, masking, ema_momentum=0.9)
    model.compile(keras_capi.optimizers.capi_optimizer(1e-3, EPOCHS * BATCHES))
    checkpoint = keras_capi.callbacks.Checkpoint(
        folder / "checkpoints", crops, every=1, keep=3
    )
    model.fit(crops, epochs=EPOCHS, callbacks=[checkpoint, Mark()], verbose=0)
    weights = [keras.ops.convert_to_numpy(w.value) for w in model.weights]
    np.savez(folder / "weights.npz", *weights)


class Run:
    """A process that trains in a folder."""

    def __init__(self, folder):
        self.folder = folder
        self.steps_file = folder / "steps.txt"
        self.steps_file.unlink(missing_ok=True)
        with open(folder / "output.txt", "w") as output:
            self.process = subprocess.Popen(
                [sys.executable, __file__, "--train", folder],
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def steps(self):
        if not self.steps_file.exists():
            return []
        # The last line may be half written.
        lines = self.steps_file.read_text().split("\n")[:-1]
        return [int(line) for line in lines]

    def wait_for(self, condition):
        """Returns the time when the condition held, or when the run ended."""
        while self.process.poll() is None and not condition():
            time.sleep(PAUSE)
        return time.perf_counter()

    def is_writing(self):
        return any(self.folder.glob("checkpoints/partial-*"))

    def finish(self):
        if self.process.wait() != 0:
            output = (self.folder / "output.txt").read_text()
            raise RuntimeError(f"The training failed:\n{output[-2000:]}")


def read_checkpoints(folder):
    """Returns how many steps each checkpoint has, having read all of it."""
    import h5py

    def read(_, item):
        if isinstance(item, h5py.Dataset):
            item[()]

    steps = []
    for path in sorted(folder.glob("checkpoints/checkpoint-*")):
        state = json.loads((path / "state.json").read_text())
        with h5py.File(path / "model.weights.h5") as file:
            file.visititems(read)
        steps.append(state["epoch"] * BATCHES + state["batch"])
    return steps


def kill(folder, generator, first_step, stop_signal):
    """Trains until a random moment; returns what the kill left."""
    run = Run(folder)
    # The first checkpoint is written at the end of step 0.
    step = int(generator.integers(max(first_step, 1), EPOCHS * BATCHES))
    run.wait_for(lambda: run.steps()[-1:] >= [step])
    if generator.random() < 0.5:
        run.wait_for(run.is_writing)
    time.sleep(generator.uniform(0, LONGEST_WAIT))
    run.process.send_signal(signal.Signals[stop_signal])
    code = run.process.wait()
    return {
        "exit_code": code,
        "in_step": run.steps()[-1],
        "first_step": run.steps()[0],
        "half_written": run.is_writing(),
        "checkpoints": read_checkpoints(folder),
    }


def read_weights(folder):
    with np.load(folder / "weights.npz") as arrays:
        return list(arrays.values())


def check(condition, message):
    if not condition:
        raise SystemExit(message)


def main(trials, seed, stop_signal):
    generator = np.random.default_rng(seed)
    start = time.time()
    num_kills = num_half_written = 0
    with tempfile.TemporaryDirectory() as root:
        root = pathlib.Path(root)
        (root / "whole").mkdir()
        Run(root / "whole").finish()
        expected = read_weights(root / "whole")
        for trial in range(trials):
            folder = root / str(trial)
            folder.mkdir()
            newest = 0
            for _ in range(generator.integers(1, MAX_KILLS + 1)):
                left = kill(folder, generator, newest, stop_signal)
                print(json.dumps({"trial": trial, **left}), flush=True)
                check(left["first_step"] == newest, "Not the step after.")
                check(left["checkpoints"], "No checkpoint.")
                newest = left["checkpoints"][-1]
                if left["exit_code"] == 0 or newest == EPOCHS * BATCHES:
                    # Killed, if at all, when all was done.
                    break
                num_kills += 1
                num_half_written += left["half_written"]
            run = Run(folder)
            run.finish()
            if newest < EPOCHS * BATCHES:
                check(run.steps()[0] == newest, "Not the step after.")
            check(not run.is_writing(), "Something half-written stays.")
            read_checkpoints(folder)
            weights = read_weights(folder)
            equal = all(map(np.array_equal, weights, expected))
            print(json.dumps({"trial": trial, "equal": equal}), flush=True)
            check(equal, "The weights differ.")
    print(
        json.dumps(
            {
                "trials": trials,
                "kills": num_kills,
                "half_written": num_half_written,
                "minutes": round((time.time() - start) / 60, 1),
            }
        )
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--signal", default="SIGKILL", dest="stop_signal")
    parser.add_argument("--train", type=pathlib.Path, help=argparse.SUPPRESS)
    options = vars(parser.parse_args())
    folder = options.pop("train")
    train(folder) if folder else main(**options)
