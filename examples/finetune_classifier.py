"""Pretrain without labels, then fine-tune with few: handwritten digits.

    python examples/finetune_classifier.py

Takes the 1797 images of digits, 8 x 8 pixels, that scikit-learn ships.
Pretrains on all training images without their labels, then trains the same
classifier twice on a few labelled ones: on pretrained and on random weights.
"""

import argparse

import keras
import numpy as np
from sklearn import datasets

from keras_capi import layers
from keras_capi import models
from keras_capi import optimizers

NUM_TRAINING = 1297
NUM_LAYERS = 3


def load_digits():
    digits = datasets.load_digits()
    images = digits.images[..., None].astype("float32") / 8.0 - 1.0
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order], digits.target[order]
    training, test = slice(NUM_TRAINING), slice(NUM_TRAINING, None)
    return (
        (images[training], labels[training]),
        (images[test], labels[test]),
    )


def make_backbone():
    return models.CAPIBackbone(
        patch_size=2,
        num_layers=NUM_LAYERS,
        predictor_num_layers=1,
        hidden_dim=64,
        num_heads=4,
        num_register_tokens=4,
        drop_path_rate=0.0,
        image_shape=(8, 8, 1),
    )


def pretrain(backbone, images, epochs, batch_size=128):
    steps = epochs * (len(images) // batch_size)
    model = models.CAPI(
        backbone,
        num_clusters=32,
        masking=layers.RandomMasking(mask_ratio=0.6, prediction_ratio=0.5),
        ema_momentum=0.98,
    )
    model.compile(
        optimizers.capi_optimizer(2e-3, steps, clustering_learning_rate=5e-3)
    )
    # Batches of one size: a smaller one at the end would be compiled anew.
    images = images[: len(images) // batch_size * batch_size]
    model.fit(images, batch_size=batch_size, epochs=epochs, verbose=2)
    return model.teacher


def fine_tune(backbone, training, test, epochs):
    classifier = models.CAPIClassifier(backbone, 10, pooling="average")
    classifier.compile(
        optimizers.LayerDecayAdamW(2e-3, NUM_LAYERS, layer_decay=0.75),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    classifier.fit(*training, batch_size=25, epochs=epochs, verbose=0)
    return classifier, classifier.evaluate(*test, verbose=0)[1]


def main(labels, pretraining_epochs, epochs, output, seed):
    keras.utils.set_random_seed(seed)
    (images, targets), test = load_digits()
    labelled = (images[:labels], targets[:labels])
    _, scratch = fine_tune(make_backbone(), labelled, test, epochs)
    backbone = pretrain(make_backbone(), images, pretraining_epochs)
    classifier, pretrained = fine_tune(backbone, labelled, test, epochs)
    print(
        f"Accuracy on {len(test[0])} test images, with {labels} labels: "
        f"{pretrained:.3f} pretrained, {scratch:.3f} from random weights"
    )
    classifier.save(output)
    print(f"The classifier is in {output}")
    return pretrained, scratch


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--pretraining-epochs", type=int, default=60)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--output", default="classifier.keras")
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))
