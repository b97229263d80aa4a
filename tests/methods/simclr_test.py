import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_vit
from helpers import to_numpy

import keras_capi
from keras_capi.optimizers import WarmupCosine

# The battery traces the steps.
pytestmark = pytest.mark.usefixtures("untraced")

IMAGES = make_images(4)
VIEWS = {"global_views": make_images(8).reshape(4, 2, 16, 16, 3)}


def make_simclr(encoder=None, **arguments):
    head = keras_capi.layers.SimCLRHead(6, 2)
    return keras_capi.methods.SimCLR(
        encoder or make_vit(), **{"head": head, **arguments}
    )


def compiled(total_steps=20, **arguments):
    model = make_simclr(**arguments)
    model.compile(model.published_optimizer(total_steps, batch_size=64))
    return model


def test_published_optimizer():
    optimizer = make_simclr().published_optimizer(1000, batch_size=4096)
    assert isinstance(optimizer, keras_capi.optimizers.LARS)
    assert (optimizer.weight_decay, optimizer.momentum) == (1e-6, 0.9)
    schedule = WarmupCosine(4.8, 1000, 100, truncate=1.0, warmup_endpoint=False)
    for step in (0, 50, 100, 999):
        assert float(optimizer._learning_rate(step)) == pytest.approx(
            float(schedule(step))
        )
    assert float(schedule(100)) == pytest.approx(4.8)


def test_the_first_update_changes_nothing_but_the_statistics():
    model = compiled()
    before = [to_numpy(weight) for weight in model.trainable_variables]
    mean = model.head.norms[0].moving_mean
    logs = model.train_on_batch(VIEWS, return_dict=True)
    assert logs["learning_rate"] == 0.0
    for weight, value in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(to_numpy(weight), value)
    assert to_numpy(mean).any()


def test_vectors_neither_decay_nor_adapt():
    groups = make_simclr().parameter_groups()
    names = {variable.path.split("/")[-1] for variable in groups["vectors"]}
    assert names == {"bias", "gamma", "beta"}


def test_evaluation_leaves_the_statistics():
    model = compiled()
    logs = model.evaluate(VIEWS, return_dict=True, verbose=0)
    assert 0.0 <= logs["contrastive_accuracy"] <= 1.0
    np.testing.assert_array_equal(
        to_numpy(model.head.norms[0].moving_mean), 0.0
    )


def test_accuracy_tells_whether_views_find_each_other():
    view = make_images(4)[:, None]
    model = compiled()
    same = model.test_on_batch(
        {"global_views": np.repeat(view, 2, axis=1)}, return_dict=True
    )
    assert same["contrastive_accuracy"] == 1.0
    swapped = np.concatenate([view, np.roll(view, 1, axis=0)], axis=1)
    others = model.test_on_batch({"global_views": swapped}, return_dict=True)
    assert others["contrastive_accuracy"] == 0.0


def test_views_that_suit_the_encoder():
    model = make_simclr(make_vit(image_shape=(16, 24, 3)))
    assert model.views.global_size == (16, 24)
    prepared = model.prepare({"images": IMAGES}, training=True)
    assert list(prepared) == ["global_views"]
    assert prepared["global_views"].shape == (4, 2, 16, 24, 3)


def test_published_defaults():
    model = keras_capi.methods.SimCLR(make_vit())
    assert (model.temperature, model.head.output_dim) == (0.1, 128)
    assert model.head.num_layers == 3
    views = model.views
    assert views.global_scale == (0.08, 1.0)
    assert views.jitter == (0.8, 0.8, 0.8, 0.2)
    assert views.blur_rates[:2] == (0.5, 0.5)
    assert views.solarize_rates == (0.0, 0.0, 0.0)


def test_a_rotary_encoder_trains_all_that_it_uses():
    model = compiled(
        encoder=make_backbone(predictor_num_layers=2, image_shape=(16, 16, 3))
    )
    assert np.isfinite(model.train_on_batch(VIEWS)[0])


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"global_views": IMAGES}, "`global_views` must have rank 5"),
        (
            {"global_views": make_images(12).reshape(4, 3, 16, 16, 3)},
            "two of each image",
        ),
        (
            {**VIEWS, "local_views": VIEWS["global_views"][:, :, :8, :8]},
            "two of each image",
        ),
        (
            {**VIEWS, "more_views": VIEWS["global_views"]},
            "two of each image",
        ),
        (IMAGES[..., :1], "3 channels"),
    ],
)
def test_bad_inputs(inputs, message):
    with pytest.raises(ValueError, match=message):
        compiled().fit(inputs, verbose=0)


def test_views_of_another_layer_are_checked():
    views = keras_capi.layers.MultiCrop(16, 8, num_local_views=1)
    with pytest.raises(ValueError, match="two of each image"):
        compiled(views=views).train_on_batch(IMAGES)


def test_bad_temperature():
    with pytest.raises(ValueError, match="`temperature` must be"):
        make_simclr(temperature=0.0)
