import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_vit
from helpers import to_numpy

from keras_capi.layers import PairHead
from keras_capi.layers import PatchGrid
from keras_capi.methods import RelativePosition
from keras_capi.ops import neighbor_pairs

# The battery traces the steps.
pytestmark = pytest.mark.usefixtures("untraced")

IMAGES = make_images(4)
PATCHES = make_images(18, 8, 8).reshape(2, 9, 8, 8, 3)
PAIRS, LABELS = (np.stack([x, x]) for x in neighbor_pairs(3, 3))
INPUTS = {"patches": PATCHES, "pairs": PAIRS, "labels": LABELS}


def make(encoder=None, **arguments):
    arguments = {"head": PairHead((16, 16, 16)), "seed": 3, **arguments}
    model = RelativePosition(encoder or make_vit(), **arguments)
    model.compile(model.published_optimizer(100, batch_size=64))
    return model


def test_defaults_follow_from_the_encoder():
    model = RelativePosition(make_vit(image_shape=(64, 96, 3)), seed=7)
    config = model.views.get_config()
    # Three sevenths of 64 pixels, in patches of 4.
    assert (config["crop_size"], config["gap"], config["seed"]) == (28, 14, 7)
    assert config["jitter"] == 2
    assert model.head.hidden_dims == (64, 64, 64)
    published = RelativePosition(make_vit(image_shape=(224, 224, 3))).views
    assert (published.crop_size, published.gap, published.jitter) == (96, 48, 7)


def test_prepares_grids():
    model = make()
    images = make_images(2, 32, 48)
    batch = model.prepare({"images": images}, training=True)
    assert tuple(batch["patches"].shape) == (2, 9, 8, 8, 3)
    np.testing.assert_array_equal(to_numpy(batch["pairs"]), PAIRS)
    np.testing.assert_array_equal(to_numpy(batch["labels"]), LABELS)
    # And takes them, too.
    given = model.prepare({"patches": PATCHES}, training=True)
    np.testing.assert_array_equal(to_numpy(given["pairs"]), PAIRS)


def test_loss_is_the_sum_over_the_pairs_of_an_image():
    model = make()
    losses = model.compute_losses(INPUTS, training=False)
    scores = to_numpy(model.predict_positions(PATCHES, PAIRS))
    log_probabilities = to_numpy(keras.ops.log_softmax(scores, axis=-1))
    costs = -np.take_along_axis(log_probabilities, LABELS[..., None], -1)
    assert to_numpy(losses["position_loss"]) == pytest.approx(
        costs.sum() / 2, rel=1e-5
    )
    assert to_numpy(losses["pair_loss"]) == pytest.approx(
        costs.mean(), rel=1e-5
    )


def test_patches_are_encoded_by_themselves():
    """A change of one patch changes no pair without it."""
    model = make()
    before = to_numpy(model.predict_positions(PATCHES, PAIRS))
    other = PATCHES.copy()
    other[0, 4] += 1.0
    after = to_numpy(model.predict_positions(other, PAIRS))
    changed = np.abs(after - before).max(axis=-1) > 1e-6
    np.testing.assert_array_equal(changed[0], (PAIRS[0] == 4).any(axis=-1))
    assert not changed[1].any()


def test_learns_from_a_gradient():
    """What is above or left of a patch, where images become brighter."""
    keras.utils.set_random_seed(0)
    ramp = np.linspace(-2, 2, 32)
    images = np.broadcast_to(
        (ramp[:, None] + 3 * ramp[None] ** 2)[None, ..., None], (8, 32, 32, 3)
    ).astype("float32")
    views = PatchGrid(8, shrink_rate=0.0, colors="projection", seed=0)
    model = make(views=views)
    model.compile(keras.optimizers.Adam(3e-3))
    images += 0.3 * make_images(8, 32, 32)
    model.fit(images, epochs=30, batch_size=8, verbose=0)
    logs = model.evaluate(images, verbose=0, return_dict=True)
    assert logs["position_accuracy"] > 0.25


def test_a_rotary_encoder_trains_without_its_predictor():
    model = make(make_backbone(image_shape=(16, 16, 3)))
    assert not model.encoder.predictor.trainable_variables
    assert np.isfinite(model.train_on_batch(IMAGES)[0])


@pytest.mark.parametrize(
    "inputs, message",
    [
        ({"images": IMAGES[..., :1]}, "must have 3 channels"),
        ({"patches": IMAGES}, "must have rank 5"),
        ({"patches": PATCHES[:, :4]}, "must come with `pairs`"),
        ({"patches": PATCHES, "pairs": PAIRS}, "must come with `pairs`"),
        ({**INPUTS, "labels": LABELS[:, :3]}, "must be integers of shapes"),
        ({**INPUTS, "pairs": PAIRS * 1.0}, "must be integers of shapes"),
        ({**INPUTS, "pairs": PAIRS + 1}, "`pairs` must be from 0 to 8"),
        ({**INPUTS, "labels": LABELS - 1}, "`labels` must be from 0 to 7"),
        ({"patches": PATCHES[:, :, :6]}, "divisible by the patch size"),
    ],
    ids=[
        "channels",
        "rank",
        "count",
        "keys",
        "labels",
        "dtype",
        "no_patch",
        "no_place",
        "size",
    ],
)
def test_bad_inputs(inputs, message):
    with pytest.raises(ValueError, match=message):
        make().fit(inputs, verbose=0)
