import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_vit
from helpers import to_numpy
from ops.numpy_sinkhorn import sinkhorn

import keras_capi

# The battery traces the steps.
pytestmark = pytest.mark.usefixtures("untraced")

IMAGES = make_images(4)
VIEWS = {
    "global_views": make_images(8).reshape(4, 2, 16, 16, 3),
    "local_views": make_images(12, 8, 8).reshape(4, 3, 8, 8, 3),
}

SCORES = keras.ops.convert_to_tensor(
    np.random.default_rng(0).uniform(-1, 1, (4, 2, 8)).astype("float32")
)


def make_swav(encoder=None, **arguments):
    head = keras_capi.layers.SwAVHead(12, 6)
    return keras_capi.methods.SwAV(
        encoder or make_vit(),
        **{"head": head, "num_prototypes": 8, **arguments},
    )


def compiled(total_steps=10, **arguments):
    model = make_swav(**arguments)
    model.compile(model.published_optimizer(total_steps, batch_size=64))
    return model


def lengths(model):
    return np.linalg.norm(to_numpy(model.prototypes.kernel), axis=0)


def test_published_rates():
    model = make_swav()
    for batch_size, rate in ((256, 0.6), (4096, 4.8)):
        schedule = model.published_optimizer(8000, batch_size)._learning_rate
        assert float(schedule(99)) == pytest.approx(rate)
        assert float(schedule(7999)) == pytest.approx(rate / 1000, rel=1e-3)
        assert float(schedule(0)) == pytest.approx(rate / 16)
    optimizer = model.published_optimizer(8000, 4096)
    assert optimizer.groups["prototypes"].frozen_steps == 10
    assert optimizer.weight_decay == 1e-6


def test_prototypes_have_the_length_1_in_each_step_but_move():
    model = compiled()
    assert abs(lengths(model) - 1).max() > 0.1
    model.compile(model.published_optimizer(10, 64, frozen_steps=1))
    model.train_on_batch(VIEWS)
    # Normalised, though frozen.
    np.testing.assert_allclose(lengths(model), 1, rtol=1e-5)
    first = to_numpy(model.prototypes.kernel)
    model.train_on_batch(VIEWS)
    assert (to_numpy(model.prototypes.kernel) != first).any()


def test_crops_are_balanced_each_by_itself():
    model = make_swav()
    assignments = to_numpy(model.assign(SCORES))
    for view in range(2):
        alone = sinkhorn(to_numpy(SCORES)[:, view] / 0.05, epsilon=0.0)
        np.testing.assert_allclose(assignments[:, view], alone, atol=1e-6)


def test_the_queue_waits_until_it_is_full():
    model = make_swav(queue_size=8, queue_start=1)
    model.compile("sgd")
    alone = to_numpy(model.assign(SCORES))
    for filled in (0, 4, 8):
        model.train_on_batch(VIEWS)
        assert to_numpy(model.queue.is_filled).sum() == filled
        differs = abs(to_numpy(model.assign(SCORES)) - alone).max() > 1e-3
        assert differs == (filled == 8)
    features = to_numpy(model.queue.features)
    kernel = to_numpy(model.prototypes.kernel)
    together = np.concatenate([to_numpy(SCORES), features @ kernel])
    # The authors add nothing to the sums.
    expected = [
        sinkhorn(together[:, view] / 0.05, epsilon=0.0) for view in range(2)
    ]
    np.testing.assert_allclose(
        to_numpy(model.assign(SCORES)),
        np.stack(expected, axis=1)[:4],
        atol=1e-5,
    )
    model.evaluate(VIEWS, verbose=0)
    np.testing.assert_array_equal(to_numpy(model.queue.features), features)


def test_views_as_published():
    views = make_swav().views
    assert (views.global_size, views.local_size) == ((16, 16), (8, 8))
    assert views.num_local_views == 6
    assert views.interpolation == "bilinear"


@pytest.mark.parametrize("name", ["SwAV", "DINO", "IBOT", "DINOv2"])
def test_views_of_a_third_size(name):
    """Which are one more kind; those of one size need not be one kind."""
    keras.utils.set_random_seed(0)
    model = make_swav()
    if name != "SwAV":
        model = getattr(keras_capi.methods, name)(make_vit(), num_prototypes=8)
    (of_views, *others) = model.loss_weights
    # So that none is drawn anew.
    masks = {"mask": np.zeros((4, 2, 16), bool)} if others else {}
    tiny = make_images(8, 4, 4).reshape(4, 2, 4, 4, 3)
    local = VIEWS["local_views"]
    parts = {**VIEWS, "local_views": local[:, :1], "more_views": local[:, 1:]}

    def loss(**inputs):
        inputs = model.prepare(inputs | masks, False)
        return to_numpy(model.compute_losses(inputs, False)[of_views])

    whole = loss(**VIEWS)
    assert loss(**parts) == pytest.approx(whole, rel=1e-5)
    with_tiny = loss(**VIEWS, tiny_views=tiny)
    assert with_tiny != pytest.approx(whole, rel=1e-5)
    assert loss(**parts, tiny_views=tiny) == pytest.approx(with_tiny, rel=1e-5)
    with pytest.raises(ValueError, match="`tiny_views` must have rank 5"):
        loss(**VIEWS, tiny_views=tiny[0])


def test_without_local_views_by_any_encoder():
    views = keras_capi.layers.MultiCrop(16, num_local_views=0)
    model = compiled(
        encoder=make_backbone(predictor_num_layers=1, image_shape=(16, 16, 3)),
        views=views,
    )
    assert np.isfinite(model.fit(IMAGES, verbose=0).history["loss"][0])
    features = model.predict(IMAGES, verbose=0)["global"]
    np.testing.assert_allclose(
        features, to_numpy(model.encoder(IMAGES)["global"]), atol=1e-5
    )


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"encoder": keras.layers.Dense(3)}, "`encoder` must be"),
        ({"temperature": 0.0}, "temperature=0.0"),
        ({"epsilon": -0.1}, "epsilon=-0.1"),
        ({"assigned_views": ()}, "`assigned_views` must be a sequence"),
        ({"queue_size": -1}, "queue_size=-1"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_swav(**arguments)


@pytest.mark.parametrize(
    "inputs, message",
    [
        ({"global_views": IMAGES}, "`global_views` must have rank 5"),
        ({**VIEWS, "local_views": VIEWS["local_views"][:2]}, "same images"),
        ({"global_views": VIEWS["global_views"][:, :1]}, "numbers .0, 1."),
    ],
)
def test_bad_inputs(inputs, message):
    with pytest.raises(ValueError, match=message):
        compiled().fit(inputs, verbose=0)
