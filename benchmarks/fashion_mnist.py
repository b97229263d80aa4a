"""Does it learn? Features of Fashion-MNIST before, during and after training.

    KERAS_BACKEND=jax python benchmarks/fashion_mnist.py --seed 0

Trains on the 60 000 images without their labels. Then 10 000 training and 2 000
test images are classified from the features of the teacher, standardised: by
their 10 nearest neighbours (cosine) and by a ridge classifier. The features are
the mean of the patch features, the global feature, and all patch features of an
image in one vector, which keeps where things are, after the last block and
after the middle one. Raw pixels are classified in the same way. The data is
Debian's `dataset-fashion-mnist`; needs scikit-learn.
"""

import argparse
import json
import time

import garment_scenes
import keras
import numpy as np

import keras_capi

NUM_TRAIN, NUM_TEST = 10_000, 2_000


def load(source, split):
    images, labels = garment_scenes.load_garments(split, source)
    return images[..., None].repeat(3, -1), labels


def normalize(images):
    """Normalises by the mean and deviation of the data set."""
    return (np.asarray(images, "float32") / 255.0 - 0.286) / 0.353


class Crops(keras.utils.PyDataset):
    """Random resized crops and flips, as published, others in each epoch."""

    def __init__(self, images, options):
        super().__init__()
        self.images = images
        self.options = options
        self.epoch = 0
        self.crop = keras_capi.layers.RandomResizedCrop(
            28, 28, scale=(options.min_scale, 1.0), seed=options.seed
        )

    def __len__(self):
        return self.options.every

    def __getitem__(self, index):
        seed = (self.options.seed, self.epoch, index)
        generator = np.random.default_rng(seed)
        batch_size = self.options.batch_size
        chosen = generator.integers(len(self.images), size=batch_size)
        images = self.images[chosen]
        flipped = generator.random(batch_size) < 0.5
        images[flipped] = images[flipped, :, ::-1]
        images = self.crop(images, training=True)
        return (normalize(keras.ops.convert_to_numpy(images)),)

    def on_epoch_end(self):
        self.epoch += 1


def make_model(options):
    backbone = keras_capi.models.CAPIBackbone(
        patch_size=options.patch_size,
        num_layers=options.num_layers,
        predictor_num_layers=2,
        hidden_dim=options.hidden_dim,
        num_heads=4,
        num_register_tokens=options.registers,
        drop_path_rate=0.0,
        image_shape=(28, 28, 3),
        seed=options.seed,
    )
    masking = keras_capi.layers.InverseBlockMasking(
        mask_ratio=options.mask_ratio,
        prediction_ratio=options.prediction_ratio,
        seed=options.seed,
    )
    model = keras_capi.models.CAPI(
        backbone, options.clusters, masking, ema_momentum=options.momentum
    )
    model.compile(
        keras_capi.optimizers.capi_optimizer(
            options.learning_rate,
            options.steps,
            options.steps // 10,
            clustering_learning_rate=options.clustering_learning_rate,
        )
    )
    return model


def score(train, train_labels, test, test_labels):
    """Returns the accuracies of 10 nearest neighbours and of a ridge."""
    # Here, as `benchmarks/precision.py` takes the rest without it.
    import sklearn.linear_model

    knn = keras_capi.evaluation.knn_classification(
        train, train_labels, test, test_labels, (10,), ("cosine",)
    )
    train, test = keras_capi.evaluation.standardize(train, test)
    ridge = sklearn.linear_model.RidgeClassifier().fit(train, train_labels)
    return {
        "knn": knn["accuracy"],
        "ridge": float(np.mean(ridge.predict(test) == test_labels)),
    }


class Scores(keras.callbacks.Callback):
    def __init__(self, train, test, every):
        super().__init__()
        self.data = [(normalize(x), y) for x, y in (train, test)]
        self.every = every
        self.start = time.time()

    def features(self, images):
        outputs = self.extractor.predict(images, batch_size=500, verbose=0)
        return {
            "average": outputs["average"],
            "global": outputs["global"],
            "patches": outputs["feature_map"].reshape(len(images), -1),
            "middle_patches": outputs[self.middle].reshape(len(images), -1),
        }

    def on_train_begin(self, logs=None):
        teacher = self.model.teacher
        self.middle = f"layer_{teacher.encoder.num_layers // 2}"
        self.extractor = keras_capi.models.FeatureExtractor(
            teacher, ("average", "global", "feature_map", self.middle)
        )
        self.report(0, {})

    def on_epoch_end(self, epoch, logs=None):
        self.report((epoch + 1) * self.every, logs)

    def report(self, step, logs):
        begin = time.time()
        (train, train_labels), (test, test_labels) = self.data
        train, test = self.features(train), self.features(test)
        result = {"step": step, "seconds": round(begin - self.start)}
        for name in train:
            scores = score(train[name], train_labels, test[name], test_labels)
            result |= {f"{name}_{k}": round(v, 4) for k, v in scores.items()}
        names = ("capi_loss", "clustering_loss", "target_entropy")
        result |= {k: round(float(logs[k]), 4) for k in names if k in logs}
        print(json.dumps(result), flush=True)
        self.start += time.time() - begin


def main(options):
    keras.utils.set_random_seed(options.seed)
    train, test = (load(options.source, split) for split in ("train", "t10k"))
    few_train = [x[:NUM_TRAIN] for x in train]
    few_test = [x[:NUM_TEST] for x in test]
    print(json.dumps({**vars(options), "backend": keras.backend.backend()}))
    pixels = [
        x[0][..., 0].reshape(-1, 784) / 255.0 for x in (few_train, few_test)
    ]
    raw = score(pixels[0], few_train[1], pixels[1], few_test[1])
    print(json.dumps({"raw pixels": raw}), flush=True)
    model = make_model(options)
    model.fit(
        Crops(train[0], options),
        epochs=options.steps // options.every,
        callbacks=[Scores(few_train, few_test, options.every)],
        verbose=0,
    )


def make_parser():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", default=garment_scenes.SOURCE)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--every", type=int, default=250)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--patch-size", type=int, default=4)
    parser.add_argument("--num-layers", type=int, default=4)
    parser.add_argument("--hidden-dim", type=int, default=96)
    parser.add_argument("--registers", type=int, default=16)
    parser.add_argument("--clusters", type=int, default=128)
    parser.add_argument("--mask-ratio", type=float, default=0.65)
    parser.add_argument("--prediction-ratio", type=float, default=0.5)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--clustering-learning-rate", type=float, default=1e-3)
    parser.add_argument("--momentum", type=float, default=0.98)
    parser.add_argument("--min-scale", type=float, default=0.6)
    return parser


if __name__ == "__main__":
    main(make_parser().parse_args())
