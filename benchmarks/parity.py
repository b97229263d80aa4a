"""Prints how far the active backend is from the authors' implementation.

Largest absolute differences to the arrays in `tests/reference`, float32:

    KERAS_BACKEND=jax python benchmarks/parity.py
"""

import pathlib
import sys

import keras
import numpy as np

import keras_capi
from keras_capi.convert.torch_checkpoint import paired_weights

TESTS = pathlib.Path(__file__).parents[1] / "tests"
PARTS = ("visible_indices", "predict_indices")
LOSSES = ("capi_loss", "clustering_loss", "target_entropy")


def difference(tensor, expected):
    values = np.asarray(keras.ops.convert_to_numpy(tensor), "float64")
    return float(np.abs(values - expected).max())


def load_model(reference):
    backbone = keras_capi.convert.load_torch_checkpoint(
        TESTS / "reference" / "capi_reference.pth", drop_path_rate=0.0
    )
    momentum = keras_capi.optimizers.WarmupCosine(0.9, 12, 3, 1.0, 1.0)
    model = keras_capi.models.CAPI(backbone, 64, ema_momentum=momentum)
    clustering = "weights/teacher_head.layer."
    model.clustering.kernel.assign(reference[clustering + "weight"].T)
    model.clustering.bias.assign(reference[clustering + "bias"])
    head = "weights/head.last_layer.weight_"
    for layer in (model.prototype_head, model.teacher_prototype_head):
        layer.direction.assign(reference[head + "v"].T)
        layer.gain.assign(reference[head + "g"][:, 0])
    return model


def inputs_of(reference, prefix, step=...):
    def per_image(indices):
        rows = indices.reshape(4, -1) - 64 * np.arange(4)[:, None]
        return rows.astype("int32")

    images = reference[prefix + "images"][step]
    return {
        "images": np.moveaxis(images, -3, -1),
        **{p: per_image(reference[prefix + p][step]) for p in PARTS},
    }


def forward_difference(reference, model):
    inputs = inputs_of(reference, "")
    differences = []
    for images, prefix in (
        ("images", "eval/"),
        ("images_other_size", "eval_other_size/"),
    ):
        features = model.student(np.moveaxis(reference[images], 1, -1))
        differences += [
            difference(feature, reference[prefix + name])
            for name, feature in features.items()
        ]
    predictions = model.student.predict_masked(**inputs)
    assignments, _ = model.clustering(reference["teacher/patches"])
    logits = model.prototype_head(predictions)
    for tensor, name in (
        (predictions, "masked/prediction"),
        (logits, "masked/logits"),
        (assignments, "teacher/assignments"),
    ):
        expected = reference[name].reshape(tensor.shape)
        differences.append(difference(tensor, expected))
    return max(differences)


def gradient_difference(reference, model):
    """The largest part of the tolerance, 2e-5 + 1e-3 |gradient|, in use."""
    model.student.set_rotary_trainable(True)
    model.compile(keras.optimizers.SGD(1.0))
    prefix = "grad/backbone."
    gradients = {
        key.removeprefix(prefix): value
        for key, value in reference.items()
        if key.startswith(prefix)
    }
    pairs = list(paired_weights(gradients, model.student))
    before = [keras.ops.convert_to_numpy(w.value) for _, (w, _) in pairs]
    model.train_on_batch(inputs_of(reference, ""))
    return max(
        float(
            np.abs(
                (old - keras.ops.convert_to_numpy(weight.value) - gradient)
                / (2e-5 + 1e-3 * np.abs(gradient))
            ).max()
        )
        for old, (_, (weight, gradient)) in zip(before, pairs, strict=True)
    )


def training_differences(reference, model):
    model.compile(keras_capi.optimizers.capi_optimizer(1e-3, 12, 3))
    losses, schedules = [], []
    for step in range(12):
        inputs = inputs_of(reference, "train/", step)
        logs = model.train_on_batch(inputs, return_dict=True)
        losses.append(
            difference(
                np.array([logs[name] for name in LOSSES]),
                reference["train/losses"][step],
            )
        )
        schedules += [
            abs(logs[log] - reference["schedule/" + name][step])
            for name, log in (
                ("lr", "learning_rate"),
                ("clustering_lr", "clustering_learning_rate"),
                ("momentum", "ema_momentum"),
            )
        ]
    weights = []
    for prefix, backbone in (
        ("final/student.backbone.", model.student),
        ("final/ema.backbone.", model.teacher),
    ):
        final = {
            key.removeprefix(prefix): value
            for key, value in reference.items()
            if key.startswith(prefix)
        }
        weights += [
            difference(weight.value, value)
            for _, (weight, value) in paired_weights(final, backbone)
        ]
    return max(losses), max(weights), max(schedules)


def main():
    with np.load(TESTS / "reference" / "capi_reference.npz") as arrays:
        reference = dict(arrays)
    losses, weights, schedules = training_differences(
        reference, load_model(reference)
    )
    rows = {
        "forward arrays": forward_difference(reference, load_model(reference)),
        "gradients, share of the tolerance in use": gradient_difference(
            reference, load_model(reference)
        ),
        "losses of 12 training steps": losses,
        "weights after 12 training steps": weights,
        "schedules": schedules,
    }
    print(f"Keras {keras.version()}, {keras.backend.backend()}", end=", ")
    print(f"NumPy {np.__version__}, Python {sys.version.split()[0]}")
    for name, value in rows.items():
        print(f"{name:42} {value:.1e}")


if __name__ == "__main__":
    main()
