import keras
import numpy as np
import pytest
from helpers import make_images
from helpers import to_numpy

from keras_capi.encoders import ImageGPTEncoder
from keras_capi.tasks import ImageClassifier


def make(num_layers=2, **arguments):
    keras.utils.set_random_seed(0)
    return ImageGPTEncoder(
        num_layers, 16, 2, **{"image_size": 4, "num_colors": 27, **arguments}
    )


def encoded(encoder, images, **arguments):
    outputs = encoder.encode(*encoder.embed(images), **arguments)
    return to_numpy(outputs["patches"])


def changed_behind(images, encoder, place):
    """Gives pixels from a place on other colours."""
    count = encoder.image_size[0] * encoder.image_size[1]
    flat = images.reshape(len(images), count, -1).copy()
    flat[:, place:] *= -1
    return flat.reshape(images.shape)


def test_a_place_sees_what_comes_before_it_alone():
    encoder = make()
    images = make_images(2, 4, 4)
    place = 6
    first = encoded(encoder, images)
    other = encoded(encoder, changed_behind(images, encoder, place))
    np.testing.assert_allclose(
        first[:, : place + 1], other[:, : place + 1], atol=1e-5
    )
    difference = np.abs(first - other).max(axis=(0, 2))
    assert (difference[place + 1 :] > 1e-3).all()


def test_without_an_order_all_places_see_each_other():
    encoder = make(causal=False)
    images = make_images(2, 4, 4)
    first = encoded(encoder, images)
    other = encoded(encoder, changed_behind(images, encoder, 15))
    assert (np.abs(first - other).max(axis=(0, 2)) > 1e-4).all()


def test_a_mask_of_attention_is_added_to_the_order():
    encoder = make()
    images = make_images(2, 4, 4)
    mask = np.eye(16, dtype=bool)[None]
    first = encoded(encoder, images, attention_mask=mask)
    other = encoded(
        encoder, changed_behind(images, encoder, 15), attention_mask=mask
    )
    np.testing.assert_allclose(first, other, atol=1e-6)
    assert np.abs(first - encoded(encoder, images)).max() > 1e-3


def test_initial_deviations():
    encoder = make(4, causal=True, num_colors=512)
    block = encoder.blocks[1]
    attention = block.attention
    for variable, deviation in [
        (encoder.color_embedding.embeddings, 0.02),
        (encoder.position_embedding.embeddings, 0.01),
        (attention.query_key_value.kernel, 0.25),
        (attention.output_projection.kernel, 0.125),
        (block.mlp_hidden.kernel, 0.02),
        (block.mlp_output.kernel, 0.02),
    ]:
        assert to_numpy(variable).std() == pytest.approx(deviation, rel=0.2)
    first = to_numpy(attention.query_key_value.kernel)
    other = to_numpy(encoder.blocks[2].attention.query_key_value.kernel)
    assert not np.array_equal(first, other)


def test_features_are_those_before_the_next_block():
    encoder = make(3)
    assert encoder.feature_layer == 1
    images = make_images(2)
    features = encoder(images, layers=(1, 3))
    outputs = encoder.encode(
        *encoder.embed(images), layers=(1,), normalize=False
    )
    expected = to_numpy(encoder.blocks[1].attention_norm(outputs["layer_1"]))
    for name in ("feature_map", "layer_1"):
        np.testing.assert_allclose(
            to_numpy(features[name]).reshape(2, 16, 16), expected, atol=1e-5
        )
    np.testing.assert_allclose(
        to_numpy(features["global"]), expected.mean(axis=1), atol=1e-5
    )
    last = encoded(encoder, images)
    np.testing.assert_allclose(
        to_numpy(features["layer_3"]).reshape(2, 16, 16), last, atol=1e-5
    )


def test_unused_parts_are_those_that_features_do_not_depend_on():
    encoder = make(3)
    for part in encoder.list_unused_parts(True):
        for variable in part.weights:
            variable.assign(variable + 1.0)
    for index, expected in ((0, 0.0), (1, 0.0)):
        features = [
            to_numpy(e(make_images(2))["global"]) for e in (encoder, make(3))
        ]
        assert np.abs(features[0] - features[1]).max() == expected, index
    assert make(2, feature_layer=2).list_unused_parts(True) == []


def test_images_of_any_size_become_small():
    encoder = make(image_size=(2, 4), num_channels=1)
    for shape in ((16, 24, 1), (2, 4, 1), (3, 3, 1)):
        features = encoder(make_images(2, *shape))
        assert features["feature_map"].shape == (2, 2, 4, 16)
    assert encoder.grid_size((16, 24, 1)) == (2, 4)


def test_attention_weights():
    weights = make().attention_weights(make_images(2), 2)["prefix"]
    assert weights.shape == (2, 2, 1, 16)
    np.testing.assert_allclose(to_numpy(weights).sum(-1), 1.0, atol=1e-5)


def test_round_trip(tmp_path):
    encoder = make(
        causal=False,
        feature_layer=2,
        mean=(0.1, 0.2, 0.3),
        standard_deviation=(0.2, 0.3, 0.4),
    )
    clone = ImageGPTEncoder.from_config(encoder.get_config())
    assert clone.get_config() == encoder.get_config()
    colors = np.random.default_rng(0).uniform(-1, 1, (27, 3))
    encoder.palette.assign_colors(colors)
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    images = make_images(2)
    np.testing.assert_allclose(
        to_numpy(loaded(images)["global"]),
        to_numpy(encoder(images)["global"]),
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 0}, "`image_size` must be"),
        ({"image_size": (4, 4, 3)}, "`image_size` must be"),
        ({"feature_layer": 3}, "`feature_layer` must be in"),
        ({"num_colors": 1.5}, "`num_colors` must be"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**arguments)


@pytest.mark.parametrize("feature_layer", [1, 2])
def test_fine_tunes_without_what_is_behind_the_features(feature_layer):
    model = ImageClassifier(
        make(2, feature_layer=feature_layer), 3, activation="softmax"
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    # Optimizers warn of weights without a gradient.
    history = model.fit(make_images(6), np.arange(6) % 3, verbose=0).history
    assert np.isfinite(history["loss"]).all()
