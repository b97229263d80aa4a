"""Trains both versions of DeepCluster on one or several devices.

Usage: `python deepcluster_devices_worker.py ENGINE results`, see `run_worker`.
"""

import sys

import keras
import numpy as np
from distribution.worker import BATCH_SIZE
from distribution.worker import start_engine
from distribution.worker import take_share
from helpers import make_images
from helpers import make_vit
from helpers import to_numpy
from methods.corner_views import Corners

import keras_capi
from keras_capi.data import RandomCrops

NUM_IMAGES = 2 * BATCH_SIZE
IMAGES = make_images(NUM_IMAGES, 18, 18)
INDICES = np.random.default_rng(0).permutation(NUM_IMAGES)


class Middle(keras.layers.Layer):
    """Not random, as each process would have other images to its numbers."""

    def __init__(self):
        super().__init__()
        self.built = True

    def call(self, images):
        margin = (images.shape[1] - 16) // 2
        return images[:, margin : 16 + margin, margin : 16 + margin]


def make(**arguments):
    keras.utils.set_random_seed(0)
    model = keras_capi.methods.DeepCluster(
        make_vit(),
        **{
            "num_prototypes": (3, 4),
            "views": Corners((16, 16)),
            "head": keras_capi.layers.SwAVHead(12, 6),
            "num_images": NUM_IMAGES,
            "seed": 1,
            **arguments,
        },
    )
    model.compile(model.published_optimizer(4, BATCH_SIZE, learning_rate=0.1))
    return model


def make_first(**arguments):
    keras.utils.set_random_seed(0)
    model = keras_capi.methods.DeepClusterV1(
        make_vit(),
        num_clusters=4,
        views=Middle(),
        head=keras_capi.layers.AlexNetHead(12, 6, dropout_rate=0.0, seed=2),
        seed=1,
        **arguments,
    )
    model.compile(model.published_optimizer(4, BATCH_SIZE))
    return model


def train(share=(0, 1)):
    """Returns what two epochs make of arrays of each process."""
    model = make()
    history = model.fit(
        take_share({"images": IMAGES, "indices": INDICES}, *share),
        batch_size=BATCH_SIZE // share[1],
        epochs=2,
        shuffle=False,
        verbose=0,
    ).history
    return {
        "loss": np.array(history["cluster_loss"]),
        "labels": to_numpy(model.memory.labels),
        "indices": to_numpy(model.memory.indices),
        "embeddings": to_numpy(model.memory.embeddings),
        **{
            f"prototypes_{number}": to_numpy(layer.kernel)
            for number, layer in enumerate(model.prototypes)
        },
    }


def train_first_on_arrays(share=(0, 1)):
    """Returns what version 1 makes of arrays that all processes have."""
    model = make_first(num_images=NUM_IMAGES)
    history = model.fit(
        {"images": IMAGES, "indices": INDICES},
        batch_size=BATCH_SIZE // share[1],
        epochs=2,
        verbose=0,
    ).history
    return {
        "arrays/loss": np.array(history["cluster_loss"]),
        "arrays/labels": to_numpy(model.memory.labels),
        "arrays/classifier": to_numpy(model.classifier.kernel),
    }


def train_first(share=(0, 1)):
    """Returns what version 1 makes of images that all processes have."""
    model = make_first()
    # One more than a batch: the second process has nothing of the last one.
    images = list(IMAGES[: BATCH_SIZE + 1])
    crops = RandomCrops(images, 18, BATCH_SIZE // share[1], 2, seed=share[0])
    history = model.fit(crops, epochs=2, verbose=0).history
    return {
        "first/loss": np.array(history["cluster_loss"]),
        "first/labels": to_numpy(model.memory.labels),
        "first/classifier": to_numpy(model.classifier.kernel),
    }


def train_undistributed(train, share):
    distribution = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        train(share)
    finally:
        keras.distribution.set_distribution(distribution)


def refused(share):
    """Returns the messages of what several processes cannot do."""
    if share[1] == 1:
        return []
    attempts = [
        lambda: make().fit(IMAGES, verbose=0),
        lambda: make(num_images=None).train_on_batch(
            {"images": IMAGES, "indices": INDICES}
        ),
        lambda: make_first(num_images=NUM_IMAGES).fit(
            take_share({"images": IMAGES, "indices": INDICES}, *share),
            verbose=0,
        ),
    ]
    if keras.backend.backend() == "jax":
        attempts += [
            lambda: train_undistributed(train, share),
            lambda: train_undistributed(train_first, share),
        ]
    messages = []
    for attempt in attempts:
        try:
            attempt()
        except ValueError as error:
            messages.append(str(error))
    return messages


def main(engine, path):
    scope, share = start_engine(engine)
    with scope:
        results = {"errors": np.array(refused(share), dtype=str)}
        results |= train(share)
        results |= train_first(share) | train_first_on_arrays(share)
    np.savez(f"{path}-{share[0]}.npz", **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
