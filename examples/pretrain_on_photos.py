"""Pretrains a small CAPI on photographs and shows what it has learned.

    KERAS_BACKEND=jax python examples/pretrain_on_photos.py
    KERAS_BACKEND=jax python examples/pretrain_on_photos.py --images my_photos

Needs no download, and 81 to 99 s on two CPU cores (measured). The backends
`tensorflow` and `torch` will do as well. The right third of each photo is held
out for the test.
"""

import argparse
import pathlib

import keras
import numpy as np
from keras import ops

from keras_capi import data
from keras_capi import evaluation
from keras_capi import layers
from keras_capi import models
from keras_capi import optimizers
from keras_capi import visualization

PHOTO_SIZE = 320  # pixels of the shorter side
CROP_SIZE = 96  # pixels of the crops from the photos; a random part becomes ...
IMAGE_SIZE = 64  # ... the model's input
PATCH_SIZE = 8
NUM_CLUSTERS = 64
BATCH_SIZE = 64
STEPS_PER_EPOCH = 20
TRAINING_SHARE = 0.68  # of the width of each photo


def make_crops(photos, num_batches, seed):
    resize = layers.RandomResizedCrop(IMAGE_SIZE, IMAGE_SIZE, seed=seed)
    flip = keras.layers.RandomFlip("horizontal", seed=seed)
    normalize = layers.ImageNetNormalization()

    def augment(crops):
        return normalize(flip(resize(crops)))

    return data.RandomCrops(
        photos, CROP_SIZE, BATCH_SIZE, num_batches, augment, seed
    )


def make_model(num_steps, seed):
    backbone = models.CAPIBackbone(
        PATCH_SIZE,
        num_layers=3,
        predictor_num_layers=1,
        hidden_dim=96,
        num_heads=3,
        drop_path_rate=0.0,
        seed=seed,
    )
    # The published ratio, 0.05, is for images of many more patches.
    masking = layers.InverseBlockMasking(prediction_ratio=0.5, seed=seed)
    momentum = optimizers.WarmupCosine(
        0.98, num_steps, num_steps // 10, start_value=1.0, final_value=1.0
    )
    optimizer = optimizers.capi_optimizer(
        2e-3, num_steps, clustering_learning_rate=1e-2
    )
    model = models.CAPI(backbone, NUM_CLUSTERS, masking, ema_momentum=momentum)
    model.compile(optimizer)
    return model


def draw_features(model, photos):
    normalize = layers.ImageNetNormalization()
    feature_maps, cluster_maps = [], []
    for photo in photos.values():
        image = ops.convert_to_numpy(normalize(photo[None]))
        features = model.predict(image, verbose=0)["feature_map"][0]
        clusters = ops.argmax(model.clustering.logits(features), axis=-1)
        feature_maps.append(features)
        cluster_maps.append(ops.convert_to_numpy(clusters))
    figure = visualization.feature_pictures(photos, feature_maps, cluster_maps)
    for axes, photo in zip(figure.axes[::3], photos.values(), strict=True):
        axes.axvline(TRAINING_SHARE * photo.shape[1], color="w", linestyle="--")
    figure.suptitle("Right of the line: not seen in training")
    return figure


def main(images, output, steps, seed):
    keras.utils.set_random_seed(seed)
    if images:
        photos = data.load_images(images, shorter_side=PHOTO_SIZE)
    else:
        photos = data.sample_photos(shorter_side=PHOTO_SIZE)
    seen, unseen = [], []
    for name, photo in photos.items():
        height, width = (n // PATCH_SIZE * PATCH_SIZE for n in photo.shape[:2])
        photos[name] = photo[:height, :width]
        split = int(TRAINING_SHARE * width)
        seen.append(photo[:, :split])
        unseen.append(photo[:, split:])

    model = make_model(steps, seed)
    epochs = max(steps // STEPS_PER_EPOCH, 1)
    crops = make_crops(seen, steps // epochs, seed)
    output.mkdir(parents=True, exist_ok=True)
    log = keras.callbacks.CSVLogger(str(output / "history.csv"))
    history = model.fit(crops, epochs=epochs, callbacks=[log])

    crops = np.concatenate([batch for (batch,) in make_crops(unseen, 8, seed)])
    logs = model.evaluate(crops, batch_size=BATCH_SIZE, return_dict=True)
    usage = evaluation.cluster_usage(model, crops, BATCH_SIZE)
    ceiling = usage["mean_assignment_entropy"]
    print(
        f"CAPI loss on held-out crops: {logs['capi_loss']:.2f} nats. Without "
        f"looking at the image: {ceiling:.2f}, the entropy of the mean "
        f"assignment.\nClusters in use: {usage['assigned_clusters']:.0f} of "
        f"{NUM_CLUSTERS}, {usage['nearest_clusters']:.0f} before balancing."
    )

    pictures = data.RandomCrops(unseen, IMAGE_SIZE, BATCH_SIZE, 3, seed=seed)
    pictures = np.concatenate([batch for (batch,) in pictures])
    np.save(output / "pictures.npy", pictures)
    model.save(output / "model.keras")
    curves = visualization.training_curves(history, ceiling)
    curves.savefig(output / "training_curves.png")
    features = draw_features(model, dict(list(photos.items())[:10]))
    features.savefig(output / "features.png")
    print(
        f"Model, curves and pictures are in {output}/\n"
        f"`keras-capi report {output}` makes a page of all that it learned."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", help="folder of own images, of any size")
    parser.add_argument("--output", type=pathlib.Path, default="demo_output")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))
