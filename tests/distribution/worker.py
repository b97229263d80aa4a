"""Trains a small model on one or several devices and writes what came out.

Usage: `python worker.py ENGINE results`, which writes `results-0.npz` and, from
further processes, `results-1.npz` and so on. Runs in a process of its own, as
devices are counted when a backend starts.
"""

import contextlib
import functools
import os
import sys

import keras
import numpy as np
from helpers import make_backbone
from helpers import make_images
from helpers import make_indices
from helpers import make_model
from helpers import to_numpy

import keras_capi

BATCH_SIZE = 8


def start_engine(engine):
    """Returns a scope for models, and which part of the data to feed."""
    share = (0, 1)
    scope = contextlib.nullcontext()
    if engine == "multi_host":
        # Address, number of processes and place come from the environment.
        keras.distribution.initialize()
        share = (int(os.environ["KERAS_DISTRIBUTION_PROCESS_ID"]), 2)
    if engine in ("data_parallel", "multi_host"):
        scope = keras.distribution.DataParallel(
            auto_shard_dataset=False
        ).scope()
    elif engine == "model_parallel":
        mesh = keras.distribution.DeviceMesh((1, 2), ("batch", "model"))
        layout_map = keras_capi.models.CAPI.get_layout_map(mesh)
        scope = keras.distribution.ModelParallel(
            layout_map=layout_map, batch_dim_name="batch"
        ).scope()
    elif engine == "mirrored":
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * 2
        )
        scope = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope()
    elif engine == "torchrun":
        import torch.distributed as dist

        dist.init_process_group("gloo")
        share = (dist.get_rank(), dist.get_world_size())
    return scope, share


def take_share(inputs, place, count):
    """Returns a process's part of each global batch."""
    num_samples = len(next(iter(inputs.values())))
    parts = [
        np.array_split(np.arange(num_samples)[start:][:BATCH_SIZE], count)
        for start in range(0, num_samples, BATCH_SIZE)
    ]
    chosen = np.concatenate([part[place] for part in parts])
    return {name: values[chosen] for name, values in inputs.items()}


def train(name, inputs, share, queue_size=0, **overrides):
    """Returns the logs and the weights after two epochs."""
    keras.utils.set_random_seed(0)
    clustering = keras_capi.layers.OnlineClustering(8, queue_size=queue_size)
    model = make_model(make_backbone(**overrides), clustering=clustering)
    # Processes of torch may start from different weights.
    if share[0] and keras.backend.backend() == "torch":
        kernel = model.student.encoder.blocks[0].mlp_hidden.kernel
        kernel.assign(kernel.value + 1.0)
    history = model.fit(
        take_share(inputs, *share),
        batch_size=BATCH_SIZE // share[1],
        epochs=2,
        shuffle=False,
        verbose=0,
    ).history
    logs = [history[key] for key in ("loss", "capi_loss", "target_entropy")]
    weights = {
        f"{name}/{index:03}": to_numpy(weight)
        for index, weight in enumerate(model.weights)
        # Replicas of TensorFlow and torch have queues of their own.
        if "/queue/" not in weight.path
    }
    return {f"{name}/logs": np.array(logs), **weights}


def fine_tune(share):
    """Returns the weights of a classifier after two epochs."""
    keras.utils.set_random_seed(0)
    model = keras_capi.models.CAPIClassifier(make_backbone(), num_classes=3)
    if share[0]:
        kernel = model.classifier.kernel
        kernel.assign(kernel.value + 1.0)
    model.compile(
        # Of the norms of all devices' gradients together.
        keras_capi.optimizers.LayerDecayAdamW(1e-2, 1, clip_norm=0.1),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    data = {"images": make_images(24), "labels": np.arange(24) % 3}
    data = take_share(data, *share)
    model.fit(
        data["images"],
        data["labels"],
        batch_size=BATCH_SIZE // share[1],
        epochs=2,
        shuffle=False,
        verbose=0,
    )
    return {
        f"fine_tuned/{index:03}": to_numpy(weight)
        for index, weight in enumerate(model.weights)
    }


def fit_under_newer_keras():
    installed = keras.version
    keras.version = lambda: "3.16.0"
    try:
        make_model().fit(make_images(), verbose=0)
    finally:
        keras.version = installed


def refused(engine):
    """Returns the messages of the errors that an engine has to raise."""
    attempts = []
    if engine == "data_parallel":
        attempts = [lambda: make_model().fit(make_images(5), verbose=0)]
    if engine == "mirrored":
        accumulating = keras_capi.optimizers.capi_optimizer(
            1e-3, gradient_accumulation_steps=2
        )
        attempts = [
            functools.partial(make_model, compile_arguments=options)
            for options in (
                {"jit_compile": True},
                {"steps_per_execution": 2},
                {"optimizer": accumulating},
            )
        ]
    if engine == "torchrun":
        attempts = [fit_under_newer_keras]
    messages = []
    for attempt in attempts:
        try:
            attempt()
        except (RuntimeError, ValueError) as error:
            messages.append(str(error))
    return np.array(messages, dtype=str)


def main(engine, path):
    scope, share = start_engine(engine)
    images = make_images(24)
    with scope:
        results = {"errors": refused(engine)}
        # The last batch has fewer samples, which two devices share unevenly
        # where the engine can do so.
        num_samples = 22 if keras.backend.backend() == "jax" else 21
        num_queues = 2 if engine in ("mirrored", "torchrun") else 1
        inputs = {"images": images[:num_samples], **make_indices(num_samples)}
        results |= train("given_masks", inputs, share)
        results |= train(
            "own_masks",
            {"images": images},
            share,
            queue_size=8 // num_queues,
            image_shape=(16, 16, 3),
            drop_path_rate=0.5,
            drop_path_method="naive",
        )
        if keras.backend.backend() == "torch":
            results |= fine_tune(share)
    np.savez(f"{path}-{share[0]}.npz", **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
