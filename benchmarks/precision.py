"""Do half precisions train as well as float32?

    KERAS_BACKEND=jax python benchmarks/precision.py --steps 600

Trains on Fashion-MNIST as `benchmarks/fashion_mnist.py` does, with patches of 7
pixels, under each dtype policy and from several seeds. Prints the mean losses
of the last tenth of the steps, and for float16 the scale of the loss and how
many steps were skipped. The spread between seeds is the noise to compare with.
"""

import argparse
import json
import time

import fashion_mnist
import garment_scenes
import keras
import numpy as np

POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")
PATCH_SIZE = 7


def train(policy, seed, steps, images):
    keras.config.set_dtype_policy(policy)
    keras.utils.set_random_seed(seed)
    options = fashion_mnist.make_parser().parse_args([])
    options.patch_size = PATCH_SIZE
    options.seed = seed
    options.steps = steps
    options.every = steps // 10
    model = fashion_mnist.make_model(options)
    start = time.time()
    history = model.fit(
        fashion_mnist.Crops(images, options), epochs=10, verbose=0
    ).history
    result = {
        "policy": policy,
        "seed": seed,
        "steps": steps,
        "seconds": round(time.time() - start),
    }
    for name in ("capi_loss", "clustering_loss", "target_entropy"):
        result[name] = round(history[name][-1], 4)
    if policy == "mixed_float16":
        updates = int(model.optimizer.inner_optimizer.iterations)
        scale = keras.ops.convert_to_numpy(model.optimizer.dynamic_scale)
        result |= {"skipped": steps - updates, "loss_scale": float(scale)}
    return result


def main(steps, seeds):
    images, _ = fashion_mnist.load(garment_scenes.SOURCE, "train")
    print(json.dumps({"backend": keras.backend.backend()}))
    losses = {}
    for policy in POLICIES:
        for seed in range(seeds):
            result = train(policy, seed, steps, images)
            losses.setdefault(policy, []).append(result["capi_loss"])
            print(json.dumps(result), flush=True)
    for policy, values in losses.items():
        mean, spread = np.mean(values), np.std(values, ddof=1)
        print(f"{policy}: capi_loss {mean:.4f}, deviation {spread:.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    main(**vars(parser.parse_args()))
