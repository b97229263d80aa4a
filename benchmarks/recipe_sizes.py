"""How large is the model of a recipe, and how long is its training?

    KERAS_BACKEND=jax python benchmarks/recipe_sizes.py demo small base
    KERAS_BACKEND=jax python benchmarks/recipe_sizes.py demo --measure 20

Prints, as JSON, what follows from the sizes: parameters, memory of the weights
with their gradients and the optimizer's moments, matrix products of a step, and
the hours of the whole training at rates that a device may keep up. With
`--measure` it also times so many steps on a batch of noise, and the peak memory
of the process. The whole recipe must fit into memory, paper_large too.
"""

import argparse
import json
import pathlib
import resource
import sys
import time

import numpy as np

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

# ruff: noqa: E402
import keras_capi
from benchmarks.steps.capi import model_flops

RATES = (0.1, 1, 10, 100)  # TFLOP/s


def count(variables):
    return sum(int(np.prod(variable.shape)) for variable in variables)


def describe(recipe):
    """Returns the model of a recipe, and what follows from its sizes."""
    steps = recipe["training"]["steps"]
    size, batch_size = (
        recipe["data"][name] for name in ("image_size", "batch_size")
    )
    model = keras_capi.recipes.make_model(recipe, steps)
    trained = count(model.trainable_variables)
    flops = model_flops(model, batch_size, size)
    return model, {
        "backbone_parameters": model.teacher.count_params(),
        "trained_parameters": trained,
        # Gradients and two moments beside the weights, all in float32.
        "weights_gib": round(
            4 * (count(model.variables) + 3 * trained) / 2**30, 2
        ),
        "gflop_per_step": round(flops / 1e9, 1),
        "steps": steps,
        "hours_at_tflop_per_s": {
            rate: round(steps * flops / (rate * 1e12) / 3600, 2)
            for rate in RATES
        },
    }


def measure(model, recipe, num_steps):
    """Returns the quartiles of the time of a step, and the peak memory."""
    data = recipe["data"]
    shape = (data["batch_size"], data["image_size"], data["image_size"], 3)
    images = np.random.default_rng(0).normal(size=shape).astype("float32")
    seconds = []
    for _ in range(num_steps + 2):
        start = time.perf_counter()
        model.train_on_batch(images)
        seconds.append(time.perf_counter() - start)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        # The first steps are compiled.
        "step_ms": [
            round(1e3 * float(x))
            for x in np.percentile(seconds[2:], (25, 50, 75))
        ],
        "peak_memory_gib": round(memory, 2),
    }


def main(names, num_steps):
    for name in names:
        recipe = keras_capi.recipes.load_recipe(name)
        model, result = describe(recipe)
        if num_steps:
            result.update(measure(model, recipe, num_steps))
        print(json.dumps({"recipe": name, **result}), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", help="recipes, or YAML files")
    parser.add_argument("--measure", type=int, default=0, dest="num_steps")
    main(**vars(parser.parse_args()))
