"""Does a training that is killed go on as if nothing had happened?

    KERAS_BACKEND=jax python benchmarks/interruptions.py --trials 20

Trains a small model once without interruption. Then, in each trial, kills
a training with `kill -9` at a random moment, restarts it, kills it again, and
lets the third run end. Every checkpoint found after a kill must load, and
the final weights must be those of the uninterrupted training, bit for bit.
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

NUM_KILLS = 2
EPOCHS, BATCHES = 3, 8


def train(folder):
    """Trains in `folder`, from its newest checkpoint on."""
    import keras

    import keras_capi

    class Mark(keras.callbacks.Callback):
        """Tells the killer that training has begun, and takes its time."""

        def on_train_batch_begin(self, batch, logs=None):
            (folder / "begun").touch()
            time.sleep(0.02)

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


def start(folder):
    (folder / "begun").unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, __file__, "--train", folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while process.poll() is None and not (folder / "begun").exists():
        time.sleep(0.005)
    return process, time.time()


def finish(process):
    output, _ = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"The training failed:\n{output[-2000:]}")


def read_weights(folder):
    with np.load(folder / "weights.npz") as arrays:
        return list(arrays.values())


def main(trials, seed, stop_signal):
    generator = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as root:
        root = pathlib.Path(root)
        (root / "whole").mkdir()
        process, begun = start(root / "whole")
        finish(process)
        duration = time.time() - begun
        expected = read_weights(root / "whole")
        for trial in range(trials):
            folder = root / str(trial)
            folder.mkdir()
            found, codes = [], []
            for _ in range(NUM_KILLS):
                process, begun = start(folder)
                time.sleep(generator.uniform(0, 0.7 * duration))
                process.send_signal(signal.Signals[stop_signal])
                process.wait()
                codes.append(process.returncode)
                names = sorted(x.name for x in folder.glob("checkpoints/*"))
                found.append(names)
            process, _ = start(folder)
            finish(process)
            weights = read_weights(folder)
            equal = all(map(np.array_equal, weights, expected))
            result = {
                "trial": trial,
                "exit_codes": codes,
                "checkpoints": [names[-1:] for names in found],
                "half_written": sum(
                    name.startswith("partial") for x in found for name in x
                ),
                "equal": equal,
            }
            print(json.dumps(result), flush=True)
            if not equal:
                raise SystemExit("The weights differ.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--signal", default="SIGKILL", dest="stop_signal")
    parser.add_argument("--train", type=pathlib.Path, help=argparse.SUPPRESS)
    options = vars(parser.parse_args())
    folder = options.pop("train")
    train(folder) if folder else main(**options)
