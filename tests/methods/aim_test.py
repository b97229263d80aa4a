import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_vit
from helpers import to_numpy

from keras_capi.layers import PatchMLP
from keras_capi.methods import AIM
from keras_capi.ops import pixel_targets

IMAGES = make_images(4)
LENGTHS = np.array([1, 7, 12, 15], "int32")
INPUTS = {"images": IMAGES, "prefix_length": LENGTHS}


def make(encoder=None, **arguments):
    encoder = encoder or make_vit()
    head = PatchMLP.for_encoder(encoder, num_layers=1)
    model = AIM(encoder, **{"head": head, "seed": 3, **arguments})
    model.compile(model.published_optimizer(100, batch_size=64))
    return model


@pytest.mark.parametrize("normalize", [True, False])
def test_loss_is_of_the_next_patches_behind_the_prefix(normalize):
    model = make(normalize_pixels=normalize)
    losses = model.compute_losses(INPUTS, training=False)
    predictions = to_numpy(model.predict_pixels(**INPUTS))
    targets = to_numpy(pixel_targets(IMAGES, 4, normalize))
    errors = [
        np.mean((predictions[image, k - 1] - targets[image, k]) ** 2)
        for image, length in enumerate(LENGTHS)
        for k in range(length, 16)
    ]
    assert to_numpy(losses["pixel_loss"]) == pytest.approx(
        np.mean(errors), rel=1e-5
    )


@pytest.mark.parametrize(
    "encoder",
    [make_vit(num_register_tokens=2), make_backbone(image_shape=(16, 16, 3))],
    ids=["vit", "rotary"],
)
def test_nothing_sees_the_future(encoder):
    """Through registers and class tokens neither."""
    model = make(encoder)
    before = to_numpy(model.predict_pixels(**INPUTS))
    other = IMAGES.copy()
    # The patch with the number 10.
    other[:, 8:12, 8:12] += 1.0
    after = to_numpy(model.predict_pixels(other, LENGTHS))
    changed = np.abs(after - before).max(axis=-1) > 1e-6
    for image in (0, 1):
        assert not changed[image, :10].any() and changed[image, 10:].all()
    # Where it is given, all see it.
    assert changed[2:].all()
    assert np.isfinite(model.train_on_batch(IMAGES)[0])


def test_features_are_without_an_order():
    model = make()
    features = model.predict(IMAGES, verbose=0)["feature_map"]
    other = IMAGES.copy()
    other[:, 12:, 12:] += 1.0
    changed = model.predict(other, verbose=0)["feature_map"] - features
    assert (np.abs(changed).max(axis=-1) > 1e-6).all()


def test_published_optimizer():
    model = make()
    optimizer = model.published_optimizer(160, batch_size=64)
    rates = []
    for step in (0, 9, 10, 85):
        optimizer.iterations.assign(step)
        rates.append(float(to_numpy(optimizer.learning_rate)))
    assert rates == pytest.approx([1e-4, 1e-3, 1e-3, 5e-4], rel=1e-4)
    config = optimizer.get_config()
    assert (config["clip_norm"], config["weight_decay"]) == (1.0, 0.05)


def test_default_head_follows_from_the_encoder():
    head = AIM(make_vit()).head
    assert (head.num_layers, head.hidden_dim, head.output_dim) == (12, 16, 48)


@pytest.mark.parametrize(
    "inputs, message",
    [
        ({"images": IMAGES, "prefix": LENGTHS}, "must have the keys"),
        ({**INPUTS, "prefix_length": LENGTHS * 1.0}, "must be integers"),
        ({**INPUTS, "prefix_length": LENGTHS + 1}, "from 0 to 15.*to 16"),
        ({**INPUTS, "prefix_length": LENGTHS - 2}, "from 0 to 15.*from -1"),
        ({"images": IMAGES[:, :15]}, "divisible by the patch size"),
    ],
    ids=["keys", "dtype", "nothing_left", "negative", "size"],
)
def test_bad_inputs(inputs, message):
    with pytest.raises(ValueError, match=message):
        make().fit(inputs, verbose=0)
