"""The base of all methods, by a small one that a user might write."""

import keras
import numpy as np
import pytest
from helpers import make_images
from helpers import to_numpy
from keras import ops

import keras_capi

IMAGES = make_images(6)


@keras.saving.register_keras_serializable(package="tests")
class MeanColour(keras_capi.training.Pretraining):
    """Predicts the mean colour of an image, and notes what happens."""

    loss_weights = {"colour_loss": 2.0, "size_loss": 0.5}

    def __init__(self, encoder, **kwargs):
        super().__init__(encoder, **kwargs)
        self.encoder = encoder
        self.head = keras.layers.Dense(3)
        self.head.build((None, encoder.global_dim))
        self.begun, self.taken = (
            self.add_weight(shape=(), initializer="zeros", trainable=False)
            for _ in range(2)
        )
        self.built = True

    def prepare(self, inputs, training):
        images = inputs["images"]
        return {"colours": ops.mean(images, axis=(1, 2)), **inputs}

    def compute_losses(self, inputs, training):
        features = self.encoder(inputs["images"], training=training)["global"]
        error = self.head(features) - inputs["colours"]
        return {
            "colour_loss": ops.mean(ops.square(error)),
            "size_loss": ops.mean(ops.square(features)),
            "is_training": ops.cast(bool(training), "float32"),
        }

    def before_update(self, step):
        self.begun.assign_add(1.0)
        # What comes before a step counts in it.
        self.head.kernel.assign(ops.ones_like(self.head.kernel.value))

    def after_update(self, step, applied):
        self.taken.assign_add(ops.cast(applied, "float32"))
        return {"step": ops.cast(step, "float32")}

    def get_config(self):
        encoder = keras.saving.serialize_keras_object(self.encoder)
        return {**super().get_config(), "encoder": encoder}


def make_method(optimizer=None, **arguments):
    keras.utils.set_random_seed(0)
    method = MeanColour(
        keras_capi.encoders.ViT(4, 1, 16, 2, image_shape=(16, 16, 3)),
        **arguments,
    )
    method.compile(optimizer or keras.optimizers.SGD(0.01))
    return method


class LogsByStep(MeanColour):
    """Logs different values in training and in evaluation."""

    def compute_losses(self, inputs, training):
        losses = super().compute_losses(inputs, training)
        name = "trained" if training else "evaluated"
        return {**losses, name: ops.ones(())}


def test_steps_log_what_they_have():
    """Not zeros for what only others have."""
    method = LogsByStep(
        keras_capi.encoders.ViT(4, 1, 16, 2, image_shape=(16, 16, 3))
    )
    method.compile("sgd")
    history = method.fit(
        IMAGES, batch_size=3, epochs=2, validation_data=IMAGES, verbose=0
    ).history
    found = {k: v for k, v in history.items() if k.endswith("ed")}
    assert found == {"trained": [1.0, 1.0], "val_evaluated": [1.0, 1.0]}


def test_losses_are_weighted_and_the_rest_is_logged():
    history = make_method().fit(IMAGES, batch_size=3, verbose=0).history
    assert set(history) == {
        "loss",
        "colour_loss",
        "size_loss",
        "is_training",
        "learning_rate",
        "step",
    }
    total = 2 * history["colour_loss"][0] + 0.5 * history["size_loss"][0]
    assert history["loss"][0] == pytest.approx(total, rel=1e-5)
    assert history["is_training"] == [1.0]


def test_evaluation_computes_the_losses_too():
    method = make_method()
    before = [to_numpy(weight) for weight in method.weights]
    logs = method.evaluate(IMAGES, return_dict=True, verbose=0)
    assert logs["is_training"] == 0.0
    expected = method.compute_losses(
        method.prepare({"images": IMAGES}, False), False
    )
    for name in ("colour_loss", "size_loss"):
        assert logs[name] == pytest.approx(
            float(to_numpy(expected[name])), rel=1e-5
        )
    for weight, value in zip(method.weights, before, strict=True):
        np.testing.assert_array_equal(to_numpy(weight), value)


def test_what_is_given_passes_through():
    method = make_method()
    colours = np.full((6, 3), 7.0, "float32")
    inputs = {"images": IMAGES, "colours": colours}
    assert method.train_on_batch(inputs)[0] > 2 * 20


def test_means_are_over_samples():
    # Of batches of 4 and 2.
    method = make_method(keras.optimizers.SGD(0.0))
    method.train_on_batch(IMAGES)
    whole = method.evaluate(IMAGES, batch_size=6, verbose=0)
    parts = method.evaluate(IMAGES, batch_size=4, verbose=0)
    np.testing.assert_allclose(parts, whole, rtol=1e-5)


def test_the_model_takes_part_in_each_step():
    method = make_method()
    method.fit(IMAGES, batch_size=2, epochs=2, verbose=0)
    assert float(to_numpy(method.begun)) == float(to_numpy(method.taken)) == 6


def test_what_comes_before_a_step_counts_in_it():
    # One step from a kernel of ones, not from the one at the start.
    method = make_method(keras.optimizers.SGD(0.0))
    method.train_on_batch(IMAGES)
    np.testing.assert_array_equal(to_numpy(method.head.kernel), 1.0)


def test_accumulated_gradients_are_one_update():
    method = make_method(
        keras.optimizers.SGD(0.01, gradient_accumulation_steps=3)
    )
    for _ in range(6):
        method.train_on_batch(IMAGES)
    assert float(to_numpy(method.begun)) == 6
    assert float(to_numpy(method.taken)) == 2


def test_call_predict_and_export_agree(monkeypatch):
    method = make_method()
    method.fit(IMAGES, verbose=0)
    expected = method.predict(IMAGES, verbose=0)
    for features in (
        method(IMAGES),
        method({"images": IMAGES}),
        method.encoder(IMAGES),
        method.predict_on_batch(IMAGES),
    ):
        assert features.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(
                to_numpy(features[name]), value, atol=1e-5
            )
    exported = []
    monkeypatch.setattr(
        keras.Model, "export", lambda model, *_, **__: exported.append(model)
    )
    method.export("model.onnx", format="onnx")
    assert exported == [method.encoder]


def test_in_a_graph_it_gives_features():
    method = make_method()
    images = keras.Input((16, 16, 3))
    model = keras.Model(images, method(images)["global"])
    np.testing.assert_allclose(
        model.predict(IMAGES, verbose=0),
        method.predict(IMAGES, verbose=0)["global"],
        atol=1e-5,
    )


def test_regularisers_and_added_losses_count():
    method = make_method(keras.optimizers.SGD(0.0))
    plain = method.evaluate(IMAGES, return_dict=True, verbose=0)
    kernel = method.encoder.blocks[0].mlp_hidden.kernel
    kernel.regularizer = keras.regularizers.L2(0.5)
    more = make_method(keras.optimizers.SGD(0.0))
    more.encoder.blocks[
        0
    ].mlp_hidden.kernel.regularizer = keras.regularizers.L2(0.5)
    logs = more.evaluate(IMAGES, return_dict=True, verbose=0)
    added = 0.5 * (to_numpy(kernel) ** 2).sum()
    assert logs.keys() == plain.keys()
    assert logs["loss"] == pytest.approx(plain["loss"] + added, rel=1e-4)


def test_validation_logs_all():
    history = make_method().fit(
        IMAGES, validation_data=(IMAGES, None), epochs=2, verbose=0
    )
    assert np.isfinite(history.history["val_size_loss"]).all()
    assert history.history["val_is_training"] == [0.0, 0.0]
    assert history.history["is_training"] == [1.0, 1.0]


def test_too_many_logs_are_refused():
    class Chatty(MeanColour):
        def compute_losses(self, inputs, training):
            losses = super().compute_losses(inputs, training)
            return {**losses, **{f"n{i}": 0.0 for i in range(70)}}

    method = Chatty(keras_capi.encoders.ViT(4, 1, 16, 2, (16, 16, 3)))
    method.compile(keras.optimizers.SGD(0.01))
    with pytest.raises(ValueError, match="at most 64"):
        method.train_on_batch(IMAGES)


@pytest.mark.parametrize(
    "inputs, message",
    [
        (list(IMAGES), "one array"),
        (IMAGES[..., :2], "3 channels"),
        (IMAGES.astype("uint8"), "floating point"),
        (IMAGES[0], "rank 4"),
    ],
)
def test_bad_images(inputs, message):
    with pytest.raises(ValueError, match=message):
        make_method().fit(inputs, verbose=0)


def test_a_loss_cannot_be_given():
    with pytest.raises(ValueError, match="its own losses"):
        make_method().compile("adam", loss="mse")


def test_weights_of_losses_cannot_be_given():
    """Keras would leave them out without a word."""
    weights = {"colour_loss": 3.0}
    with pytest.raises(ValueError, match=r"loss_weights=\{'colour_loss': 3"):
        make_method().compile("adam", loss_weights=weights)


@pytest.mark.parametrize("name", ["metrics", "weighted_metrics"])
def test_metrics_cannot_be_given(name):
    with pytest.raises(ValueError, match=f"{name}=.'mse'.") as error:
        make_method().compile("adam", **{name: ["mse"]})
    assert "without labels" in str(error.value)


@pytest.mark.parametrize(
    "weights, losses, message",
    [
        ({"a": 1.0}, lambda x: x, "a dictionary of scalars"),
        ({"a": 1.0}, lambda x: {"b": x}, r"loss_weights={'a': .*\['b'\]"),
        ({}, lambda x: {"b": x}, r"loss_weights={}, losses \['b'\]"),
        ({"a": 1.0}, lambda x: {"a": x[None]}, r"scalars: .*'a' of shape \(1,"),
        (
            {"a": 1.0},
            lambda x: {"a": x, "b": x[None, None]},
            r"scalars: .*'b' of shape \(1, 1\)",
        ),
    ],
)
def test_losses_of_a_subclass_are_checked(weights, losses, message):
    class Mistaken(MeanColour):
        loss_weights = weights

        def compute_losses(self, inputs, training):
            returned = super().compute_losses(inputs, training)
            return losses(returned["colour_loss"])

    method = Mistaken(make_method().encoder)
    method.compile("adam")
    with pytest.raises(ValueError, match=message):
        method.fit(IMAGES, verbose=0)


def test_numbers_are_logged_beside_losses():
    class Logged(MeanColour):
        def compute_losses(self, inputs, training):
            losses = super().compute_losses(inputs, training)
            return {**losses, "three": 3.0, "four": np.float32(4)}

    method = Logged(make_method().encoder)
    method.compile("adam")
    history = method.fit(IMAGES, verbose=0).history
    assert history["three"] == [3.0] and history["four"] == [4.0]


def test_saved_and_loaded(tmp_path):
    method = make_method(keras.optimizers.Adam(0.01))
    method.fit(IMAGES, verbose=0)
    method.save(tmp_path / "method.keras")
    loaded = keras.saving.load_model(tmp_path / "method.keras")
    losses = [m.train_on_batch(IMAGES)[0] for m in (method, loaded)]
    assert losses[0] == losses[1]


def test_an_encoder_without_weights_is_refused():
    class Unbuilt(keras_capi.encoders.Encoder):
        def __init__(self):
            super().__init__(4, 1, 8, 0, (16, 16, 3))
            self.embedding = keras.layers.Dense(8)

    with pytest.raises(
        ValueError, match="`finish` at the end.*Unbuilt without"
    ):
        MeanColour(Unbuilt())
