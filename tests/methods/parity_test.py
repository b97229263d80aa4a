"""The numbers of the authors' implementation, on the active backend."""

import keras
import numpy as np
import pytest
from helpers import to_numpy

import keras_capi
from keras_capi.convert.torch_checkpoint import paired_weights

FORWARD = {"atol": 2e-5, "rtol": 0}
GRADIENTS = {"atol": 2e-5, "rtol": 1e-3}
LOSSES = {"atol": 1e-4, "rtol": 0}
WEIGHTS = {"atol": 3e-4, "rtol": 0}


def channels_last(images):
    return np.moveaxis(images, -3, -1)


def indices_per_image(flat_indices, num_patches=64, batch_size=4):
    rows = flat_indices.reshape(batch_size, -1)
    return (rows - num_patches * np.arange(batch_size)[:, None]).astype("int32")


@pytest.fixture
def inputs(reference):
    return {
        "images": channels_last(reference["images"]),
        "visible_indices": indices_per_image(reference["visible_indices"]),
        "predict_indices": indices_per_image(reference["predict_indices"]),
    }


@pytest.fixture
def model(reference, reference_backbone, reference_config):
    momentum = reference_config["schedules"]["momentum"]
    model = keras_capi.models.CAPI(
        reference_backbone,
        num_clusters=reference_config["num_clusters"],
        ema_momentum=keras_capi.optimizers.WarmupCosine(
            momentum["base_value"],
            total_steps=reference_config["steps"],
            warmup_steps=momentum["warmup_iters"],
            start_value=momentum["start_warmup_value"],
            final_value=momentum["final_value"],
        ),
    )
    kernel = reference["weights/teacher_head.layer.weight"].T
    model.clustering.kernel.assign(kernel)
    model.clustering.bias.assign(reference["weights/teacher_head.layer.bias"])
    direction = reference["weights/head.last_layer.weight_v"].T
    gain = reference["weights/head.last_layer.weight_g"][:, 0]
    for head in (model.prototype_head, model.teacher_prototype_head):
        head.direction.assign(direction)
        head.gain.assign(gain)
    return model


def under(reference, prefix):
    return {
        key.removeprefix(prefix): value
        for key, value in reference.items()
        if key.startswith(prefix)
    }


def heads_under(reference, prefix, clustering_prefix):
    """Our attribute paths and the values of the heads, in our layout."""
    return {
        "direction": reference[prefix + "head.last_layer.weight_v"].T,
        "gain": reference[prefix + "head.last_layer.weight_g"][:, 0],
        "kernel": reference[clustering_prefix + "layer.weight"].T,
        "bias": reference[clustering_prefix + "layer.bias"],
    }


def test_inference(reference, reference_backbone):
    for images, prefix in (
        ("images", "eval/"),
        ("images_other_size", "eval_other_size/"),
    ):
        features = reference_backbone(channels_last(reference[images]))
        for name, feature in features.items():
            np.testing.assert_allclose(
                to_numpy(feature), reference[prefix + name], **FORWARD
            )


def test_masked_forward(reference, reference_backbone, inputs):
    tokens = to_numpy(
        reference_backbone.encoder(inputs["images"], inputs["visible_indices"])
    )
    np.testing.assert_allclose(
        tokens[:, 8:], reference["masked/encoder_output"], **FORWARD
    )
    prediction = to_numpy(reference_backbone.predict_masked(**inputs))
    np.testing.assert_allclose(
        prediction.reshape(-1, 48), reference["masked/prediction"], **FORWARD
    )


def test_clustering_and_heads(reference, model, inputs):
    patches = model.teacher.encode_patches(inputs["images"])
    np.testing.assert_allclose(
        to_numpy(patches), reference["teacher/patches"], **FORWARD
    )
    assignments, loss = model.clustering(patches)
    np.testing.assert_allclose(
        to_numpy(assignments), reference["teacher/assignments"], **FORWARD
    )
    np.testing.assert_allclose(
        to_numpy(loss), reference["teacher/clustering_loss"], **FORWARD
    )
    logits = model.prototype_head(model.student.predict_masked(**inputs))
    np.testing.assert_allclose(
        to_numpy(logits).reshape(-1, 64), reference["masked/logits"], **FORWARD
    )
    losses = model.compute_losses(
        model.prepare(inputs, training=False), training=False
    )
    for name in ("capi_loss", "target_entropy"):
        np.testing.assert_allclose(
            to_numpy(losses[name]), reference[name], **FORWARD
        )


def test_gradients(reference, model, inputs):
    # With a rate of 1, plain gradient descent moves by the gradient.
    model.student.set_rotary_trainable(True)
    model.compile(keras.optimizers.SGD(1.0))
    before = under(reference, "weights/backbone.")
    gradients = under(reference, "grad/backbone.")
    heads_before = heads_under(reference, "weights/", "weights/teacher_head.")
    head_gradients = heads_under(reference, "grad/", "grad/teacher_head.")
    model.train_on_batch(inputs)

    before = dict(paired_weights(before, model.student))
    gradients = dict(paired_weights(gradients, model.student))
    assert len(gradients) == len(model.student.weights)
    for key, (weight, gradient) in gradients.items():
        moved = before[key][1] - to_numpy(weight)
        np.testing.assert_allclose(moved, gradient, err_msg=key, **GRADIENTS)
    for name, gradient in head_gradients.items():
        layer = model.prototype_head
        layer = layer if hasattr(layer, name) else model.clustering
        moved = heads_before[name] - to_numpy(getattr(layer, name))
        np.testing.assert_allclose(moved, gradient, err_msg=name, **GRADIENTS)


def test_training(reference, reference_config, model):
    model.compile(
        keras_capi.optimizers.capi_optimizer(
            reference_config["schedules"]["lr"]["base_value"],
            total_steps=reference_config["steps"],
            warmup_steps=reference_config["schedules"]["lr"]["warmup_iters"],
            weight_decay=reference_config["weight_decay"],
        )
    )
    for step in range(reference_config["steps"]):
        logs = model.train_on_batch(
            {
                "images": channels_last(reference["train/images"][step]),
                **{
                    name: indices_per_image(reference["train/" + name][step])
                    for name in ("visible_indices", "predict_indices")
                },
            },
            return_dict=True,
        )
        names = ("capi_loss", "clustering_loss", "target_entropy")
        np.testing.assert_allclose(
            [logs[name] for name in names],
            reference["train/losses"][step],
            err_msg=f"step {step}",
            **LOSSES,
        )
        for name, log in (
            ("lr", "learning_rate"),
            ("clustering_lr", "clustering_learning_rate"),
            ("momentum", "ema_momentum"),
        ):
            np.testing.assert_allclose(
                logs[log], reference["schedule/" + name][step], atol=1e-7
            )

    for prefix, backbone, head in (
        ("student.", model.student, model.prototype_head),
        ("ema.", model.teacher, model.teacher_prototype_head),
    ):
        prefix = "final/" + prefix
        final = under(reference, prefix + "backbone.")
        for key, (weight, value) in paired_weights(final, backbone):
            np.testing.assert_allclose(
                to_numpy(weight), value, err_msg=prefix + key, **WEIGHTS
            )
        heads = heads_under(reference, prefix, "final/teacher_head.")
        for name, value in heads.items():
            layer = head if hasattr(head, name) else model.clustering
            np.testing.assert_allclose(
                to_numpy(getattr(layer, name)), value, err_msg=name, **WEIGHTS
            )
