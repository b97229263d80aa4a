import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_vit
from helpers import to_numpy

from keras_capi.methods import RotationPrediction

IMAGES = make_images(4)
ROTATED = np.stack([np.rot90(IMAGES, k, axes=(1, 2)) for k in range(4)], 1)
LABELS = np.tile(np.arange(4, dtype="int32"), (4, 1))


def make(encoder=None):
    model = RotationPrediction(encoder or make_vit())
    model.compile(model.published_optimizer(100, batch_size=64))
    return model


def test_loss_is_the_mean_over_all_turns():
    model = make()
    batch = model.prepare({"images": IMAGES}, training=True)
    np.testing.assert_array_equal(to_numpy(batch["rotated_images"]), ROTATED)
    np.testing.assert_array_equal(to_numpy(batch["labels"]), LABELS)
    losses = model.compute_losses(batch, training=False)
    logits = to_numpy(model.predict_turns(ROTATED.reshape(-1, 16, 16, 3)))
    probabilities = to_numpy(keras.ops.softmax(logits, axis=-1))
    right = probabilities[np.arange(16), LABELS.reshape(-1)]
    assert to_numpy(losses["rotation_loss"]) == pytest.approx(
        -np.log(right).mean(), rel=1e-5
    )
    hits = logits.argmax(axis=1) == LABELS.reshape(-1)
    assert to_numpy(losses["rotation_accuracy"]) == pytest.approx(hits.mean())


def test_scores_are_of_the_mean_of_the_patches():
    """And not of a class token."""
    model = make()
    tokens = model.encoder.embed(IMAGES)
    patches = to_numpy(model.encoder.encode(*tokens)["patches"])
    expected = patches.mean(axis=1) @ to_numpy(model.head.kernel)
    scores = to_numpy(model.predict_turns(IMAGES))
    np.testing.assert_allclose(scores, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(16, 24), (24, 16)])
def test_takes_the_middle_square(shape):
    """Or else its shape would tell how an image was turned."""
    images = make_images(2, *shape)
    batch = make().prepare({"images": images}, training=True)
    middle = images[:, :, 4:20] if shape[1] == 24 else images[:, 4:20]
    np.testing.assert_array_equal(
        to_numpy(batch["rotated_images"])[:, 0], middle
    )


def test_learns_the_turns():
    """Of images that are brighter at the top."""
    keras.utils.set_random_seed(0)
    images = make_images(16) + np.linspace(2, -2, 16)[:, None, None]
    model = make()
    model.compile(keras.optimizers.Adam(3e-3))
    model.fit(images, epochs=12, batch_size=8, verbose=0)
    logs = model.evaluate(images, verbose=0, return_dict=True)
    assert logs["rotation_accuracy"] > 0.9


def test_published_optimizer():
    model = make()
    optimizer = model.published_optimizer(100, batch_size=512)
    optimizer.iterations.assign(5)
    assert float(to_numpy(optimizer.learning_rate)) == pytest.approx(3e-4)
    vectors = model.parameter_groups()["vectors"]
    assert any(variable is model.head.bias for variable in vectors)


def test_a_rotary_encoder_trains_without_its_predictor():
    model = make(make_backbone(image_shape=(16, 16, 3)))
    assert not model.encoder.predictor.trainable_variables
    assert np.isfinite(model.train_on_batch(IMAGES)[0])


@pytest.mark.parametrize(
    "inputs, message",
    [
        ({"rotated_images": ROTATED}, "must have the keys"),
        ({"rotated_images": IMAGES, "labels": LABELS}, "rank 5"),
        ({"rotated_images": ROTATED, "labels": LABELS[:, :3]}, "`labels`"),
        (
            {"rotated_images": ROTATED, "labels": LABELS.astype("float32")},
            "`labels` must be integers",
        ),
        (
            {"rotated_images": ROTATED, "labels": LABELS + 1},
            "`labels` must be from 0 to 3.*from 1 to 4",
        ),
        ({"images": IMAGES[:, :15]}, "divisible by the patch size"),
    ],
    ids=["keys", "rank", "count", "dtype", "range", "size"],
)
def test_bad_inputs(inputs, message):
    with pytest.raises(ValueError, match=message):
        make().fit(inputs, verbose=0)
