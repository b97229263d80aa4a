"""Does it learn on a laptop? Scenes and photographs, before and after.

    KERAS_BACKEND=torch python benchmarks/small_recipe.py textured --seed 0

Trains without labels for about half an hour on two cores. The patch features of
the teacher, after the last block and after the middle one, are then compared
with those of the untrained model and with the patches' own pixels.

`plain` and `textured`: scenes of two to four garments; 500 of them train a k-NN
and a logistic segmentation of 300 scenes of other garments (mean IoU and pixel
accuracy, percent). `photos`: which of the ten photographs of
`keras_capi.data.sample_photos` is a 64-pixel crop from? Trained on the left of
the photographs, tested on their right third (accuracy of 10-NN and of a
logistic regression on the averaged patch features).

The data is Debian's `dataset-fashion-mnist`; needs scikit-learn.
"""

import argparse
import json
import time

import garment_scenes
import keras
import numpy as np
import sklearn.linear_model

import keras_capi

SIZE = 64
NUM_PRETRAIN, NUM_TRAIN, NUM_TEST = 12_000, 500, 300
SPLIT = 0.68  # of the width of a photograph


class Scenes:
    def __init__(self, style, seed):
        self.images, _ = self.make("train", NUM_PRETRAIN, style, seed)
        self.crop_size = SIZE
        # Others than those of the pretraining, and the same for each seed.
        self.train = self.make("train", NUM_TRAIN, style, 1001)
        self.test = self.make("t10k", NUM_TEST, style, 1002)

    @staticmethod
    def make(split, count, style, seed):
        return garment_scenes.make_scenes(split, count, SIZE, style, seed)

    def score(self, train_features, test_features):
        data = (train_features, self.train[1], test_features, self.test[1])
        knn = keras_capi.evaluation.knn_segmentation(*data, ())
        logistic = keras_capi.evaluation.logistic_segmentation(
            *data, (), max_iterations=200
        )
        return {
            "knn_iou": knn["mean_iou"],
            "knn_accuracy": knn["pixel_accuracy"],
            "logistic_iou": logistic["mean_iou"],
            "logistic_accuracy": logistic["pixel_accuracy"],
        }


class Photos:
    def __init__(self, seed):
        photos = keras_capi.data.sample_photos(shorter_side=320).values()
        left = [x[:, : int(SPLIT * x.shape[1])] for x in photos]
        right = [x[:, int(SPLIT * x.shape[1]) :] for x in photos]
        self.images = left
        self.crop_size = 96
        self.train = self.crops(left, 100)
        self.test = self.crops(right, 50)

    @staticmethod
    def crops(images, count):
        crops = [
            keras_capi.data.RandomCrops([image], SIZE, count, 1, seed=index)[0]
            for index, image in enumerate(images)
        ]
        images = np.concatenate([batch for (batch,) in crops])
        return images, np.repeat(np.arange(len(crops)), count)

    def score(self, train_features, test_features):
        train = train_features.mean(axis=(1, 2))
        test = test_features.mean(axis=(1, 2))
        knn = keras_capi.evaluation.knn_classification(
            train, self.train[1], test, self.test[1], (10,), ("cosine",)
        )
        train, test = keras_capi.evaluation.standardize(train, test)
        regression = sklearn.linear_model.LogisticRegression(max_iter=1000)
        regression.fit(train, self.train[1])
        return {
            "knn_accuracy": knn["accuracy"],
            "logistic_accuracy": regression.score(test, self.test[1]),
        }


def make_model(options):
    backbone = keras_capi.models.CAPIBackbone(
        patch_size=options.patch_size,
        num_layers=options.num_layers,
        predictor_num_layers=options.predictor_num_layers,
        hidden_dim=options.hidden_dim,
        num_heads=4,
        num_register_tokens=options.registers,
        drop_path_rate=0.0,
        image_shape=(SIZE, SIZE, 3),
        seed=options.seed,
    )
    masking = keras_capi.layers.InverseBlockMasking(
        prediction_ratio=options.prediction_ratio, seed=options.seed
    )
    clustering = keras_capi.layers.OnlineClustering(
        options.clusters, queue_size=options.queue_size
    )
    model = keras_capi.models.CAPI(
        backbone,
        masking=masking,
        clustering=clustering,
        ema_momentum=options.momentum,
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


def make_crops(data, normalize, options):
    resize = keras_capi.layers.RandomResizedCrop(
        SIZE, SIZE, scale=(options.min_scale, 1.0), seed=options.seed
    )
    flip = keras.layers.RandomFlip("horizontal", seed=options.seed)

    def augment(crops):
        return normalize(flip(resize(crops, training=True), training=True))

    return keras_capi.data.RandomCrops(
        data.images,
        data.crop_size,
        options.batch_size,
        options.every,
        augment,
        options.seed,
    )


class Normalization:
    """Normalises by the mean and deviation of the training images."""

    def __init__(self, images):
        pixels = np.concatenate([x.reshape(-1, 3) for x in images[:500]])
        self.mean = pixels.mean(axis=0, dtype="float32")
        self.deviation = pixels.std(axis=0, dtype="float32")

    def __call__(self, images):
        images = np.asarray(keras.ops.convert_to_numpy(images), "float32")
        return (images - self.mean) / self.deviation


class Scores(keras.callbacks.Callback):
    def __init__(self, data, normalize, options):
        super().__init__()
        self.data = data
        self.images = [normalize(x[0]) for x in (data.train, data.test)]
        self.options = options
        self.start = time.time()

    def on_train_begin(self, logs=None):
        teacher = self.model.teacher
        self.middle = f"layer_{teacher.encoder.num_layers // 2}"
        self.extractor = keras_capi.models.FeatureExtractor(
            teacher, ("feature_map", self.middle)
        )
        self.report(0, {})

    def on_epoch_end(self, epoch, logs=None):
        self.report((epoch + 1) * self.options.every, logs)

    def report(self, step, logs):
        begin = time.time()
        train, test = [
            self.extractor.predict(x, batch_size=100, verbose=0)
            for x in self.images
        ]
        result = {"step": step, "seconds": round(begin - self.start)}
        for label, name in (("last", "feature_map"), ("middle", self.middle)):
            scores = self.data.score(train[name], test[name])
            result |= percent(label, scores)
        names = ("capi_loss", "clustering_loss", "target_entropy")
        result |= {k: round(float(logs[k]), 3) for k in names if k in logs}
        print(json.dumps(result), flush=True)
        self.start += time.time() - begin


def percent(name, scores):
    return {f"{name}_{k}": round(100 * v, 1) for k, v in scores.items()}


def patch_pixels(images, patch_size):
    rows = images.shape[1] // patch_size
    patches = images.reshape(-1, rows, patch_size, rows, patch_size, 3)
    return patches.swapaxes(2, 3).reshape(len(images), rows, rows, -1)


def main(options):
    keras.utils.set_random_seed(options.seed)
    if options.data == "photos":
        data = Photos(options.seed)
    else:
        data = Scenes(options.data, options.seed)
    normalize = Normalization(data.images)
    print(json.dumps({**vars(options), "backend": keras.backend.backend()}))
    pixels = [
        patch_pixels(normalize(x[0]), options.patch_size)
        for x in (data.train, data.test)
    ]
    print(json.dumps(percent("pixels", data.score(*pixels))), flush=True)
    make_model(options).fit(
        make_crops(data, normalize, options),
        epochs=options.steps // options.every,
        callbacks=[Scores(data, normalize, options)],
        verbose=0,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", choices=("plain", "textured", "photos"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--every", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--patch-size", type=int, default=8)
    parser.add_argument("--num-layers", type=int, default=4)
    parser.add_argument("--predictor-num-layers", type=int, default=2)
    parser.add_argument("--hidden-dim", type=int, default=96)
    parser.add_argument("--registers", type=int, default=4)
    parser.add_argument("--clusters", type=int, default=128)
    parser.add_argument("--queue-size", type=int, default=192)
    parser.add_argument("--prediction-ratio", type=float, default=0.5)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--clustering-learning-rate", type=float, default=1e-3)
    parser.add_argument("--momentum", type=float, default=0.98)
    parser.add_argument("--min-scale", type=float, default=0.6)
    main(parser.parse_args())
