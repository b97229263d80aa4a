"""Compute features of images, store them, and find similar images.

    python examples/extract_features.py --images my_photos \
        --preset capi_vit_large_patch14_lvd142m

Without `--images` it takes the photographs that scikit-image and scikit-learn
ship. Without `--preset` it takes a small network with random weights, to try
the script offline: its neighbours mean little.
"""

import argparse

import h5py
import numpy as np

from keras_capi import data
from keras_capi import features
from keras_capi import models


def load_backbone(preset):
    if preset is not None:
        return models.CAPIBackbone.from_preset(preset)
    print("No --preset: features of a small network with random weights")
    return models.CAPIBackbone.from_preset(
        "capi_vit_small_patch14", num_layers=4, predictor_num_layers=1
    )


def nearest_neighbours(vectors):
    """Returns for each row the most similar other row and the similarity."""
    vectors = vectors - vectors.mean(axis=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -np.inf)
    return similarity.argmax(axis=1), similarity.max(axis=1)


def main(images, preset, image_size, output):
    backbone = load_backbone(preset)
    if images is None:
        photos = data.sample_photos()
        names, images = list(photos), list(photos.values())
    else:
        names = None
    numbers, _ = features.extract_features(
        backbone,
        images,
        features=("global", "feature_map"),
        image_size=image_size,
        output=output,
    )
    names = names or numbers
    with h5py.File(output) as file:
        for name, dataset in file.items():
            print(f"{output}: {name}, shape {dataset.shape}")
        indices, similarities = nearest_neighbours(file["global"][:])
    for name, index, similarity in zip(
        names, indices, similarities, strict=True
    ):
        print(f"{name:30} is most like {names[index]:30} ({similarity:.2f})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", help="folder of images")
    parser.add_argument("--preset", help="name, folder or hf://user/name")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--output", default="features.h5")
    main(**vars(parser.parse_args()))
