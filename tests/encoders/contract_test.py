"""What all encoders have in common, whatever they compute."""

import keras
import numpy as np
import pytest
from backend_helpers import BACKEND
from helpers import make_backbone
from helpers import make_images
from helpers import to_numpy
from keras import ops
from keras import tree

from keras_capi.encoders import Encoder
from keras_capi.encoders import ViT

VITS = {
    "class_token": {},
    "sine_registers": {"positions": "sine", "num_register_tokens": 2},
    "relative": {
        "positions": None,
        "relative_positions": "shared",
        "use_key_bias": False,
        "layer_scale": 0.1,
    },
    "all_positions": {
        "relative_positions": "per_block",
        "interpolation_offset": 0.1,
    },
    "post_norm": {"positions": "sine", "post_norm": True},
    "no_positions": {
        "positions": None,
        "class_token": False,
        "use_bias": False,
        "image_shape": (None, None, 3),
    },
}
ENCODERS = ["capi", *VITS]
IMAGES = make_images(2, 16, 24)
VISIBLE = np.array([[0, 3, 23, 7], [5, 1, 2, 11]], "int32")


def make_encoder(name, **arguments):
    if name == "capi":
        arguments = {"num_layers": 2, "predictor_hidden_dim": 24, **arguments}
        return make_backbone(**arguments)
    base = {
        "patch_size": 4,
        "num_layers": 2,
        "hidden_dim": 16,
        "num_heads": 2,
        "image_shape": (16, 24, 3),
    }
    encoder = ViT(**{**base, **VITS[name], **arguments})
    generator = np.random.default_rng(0)
    for weight in encoder.weights:
        # Biases that start at 0 hide mistakes.
        if "bias" in weight.path:
            weight.assign(generator.normal(size=weight.shape))
    return encoder


@pytest.fixture(scope="module")
def encoders():
    keras.utils.set_random_seed(0)
    return {name: make_encoder(name) for name in ENCODERS}


def assert_same(structure, others, atol=1e-5):
    tree.assert_same_structure(structure, others)
    for value, other in zip(
        tree.flatten(structure), tree.flatten(others), strict=True
    ):
        np.testing.assert_allclose(
            to_numpy(ops.cast(value, "float32")),
            to_numpy(ops.cast(other, "float32")),
            atol=atol,
        )


def assert_spec(encoder, features, *arguments, **keywords):
    """The symbolic outputs tell keys, shapes and dtypes."""
    spec = encoder.compute_output_spec(*arguments, **keywords)
    assert list(spec) == list(features)
    for name, value in features.items():
        shape = spec[name].shape
        assert len(shape) == len(value.shape)
        for size, known in zip(value.shape, shape, strict=True):
            assert known in (None, size)
        assert spec[name].dtype == keras.backend.standardize_dtype(value.dtype)


@pytest.mark.parametrize("name", ENCODERS)
def test_whole_images(encoders, name):
    encoder = encoders[name]
    features = encoder(IMAGES, layers=(1, 2))
    prefix = "registers" if name == "capi" else "prefix"
    assert list(features) == [
        "global",
        prefix,
        "feature_map",
        "layer_1",
        "layer_2",
    ]
    count = encoder.num_prefix_tokens
    assert features["global"].shape == (2, encoder.global_dim)
    assert features[prefix].shape == (2, count, 16)
    assert features["feature_map"].shape == (2, 4, 6, 16)
    assert_same(features["layer_2"], features["feature_map"])
    assert_spec(encoder, features, ops.convert_to_tensor(IMAGES), layers=(1, 2))
    # In steps.
    outputs = encoder.encode(*encoder.embed(IMAGES), layers=(1, 2))
    assert_same(outputs["prefix"], features[prefix])
    patches = ops.reshape(outputs["patches"], (2, 4, 6, 16))
    assert_same(patches, features["feature_map"])
    assert outputs["layer_1"].shape == (2, count + 24, 16)
    first = ops.reshape(outputs["layer_1"][:, count:], (2, 4, 6, 16))
    assert_same(first, features["layer_1"])


@pytest.mark.parametrize("name", ENCODERS)
def test_predict_gives_what_call_gives(encoders, name):
    features = encoders[name].predict(IMAGES, verbose=0)
    assert_same(features, encoders[name](IMAGES))


@pytest.mark.parametrize("name", ENCODERS)
def test_visible_patches(encoders, name):
    encoder = encoders[name]
    features = encoder(IMAGES, visible_indices=VISIBLE, layers=(1,))
    assert features["patches"].shape == (2, 4, 16)
    assert features["layer_1"].shape == (2, 4, 16)
    assert features["positions"].shape[:2] == (2, 4)
    assert_spec(
        encoder,
        features,
        ops.convert_to_tensor(IMAGES),
        ops.convert_to_tensor(VISIBLE),
        layers=(1,),
    )
    # Tokens and positions of all patches can be gathered instead.
    tokens, positions = encoder.embed(IMAGES)
    indices = VISIBLE[..., None]
    tokens = ops.take_along_axis(tokens, indices, axis=1)
    positions = ops.repeat(positions, 2 // positions.shape[0], axis=0)
    positions = ops.take_along_axis(positions, indices, axis=1)
    outputs = encoder.encode(tokens, positions, (1,))
    assert_same(outputs["patches"], features["patches"])
    assert_same(outputs["positions"], features["positions"])
    # Others are not looked at.
    changed = IMAGES.copy()
    changed[1, :4, :4] += 1.0
    others = encoder(changed, visible_indices=VISIBLE)["patches"]
    assert_same(others, features["patches"], atol=1e-6)


@pytest.mark.parametrize("name", ENCODERS)
def test_order_of_visible_patches_does_not_matter(encoders, name):
    features = encoders[name](IMAGES, visible_indices=VISIBLE)
    order = [2, 0, 3, 1]
    others = encoders[name](IMAGES, visible_indices=VISIBLE[:, order])
    assert_same(
        others["patches"], to_numpy(features["patches"])[:, order], atol=1e-5
    )
    assert_same(others["global"], features["global"])


@pytest.mark.parametrize("name", ENCODERS)
def test_masked_patches(encoders, name):
    encoder = encoders[name]
    mask = np.random.default_rng(0).uniform(size=(2, 24)) < 0.5
    token = np.linspace(-1, 1, 16, dtype="float32")
    features = encoder(IMAGES, mask=mask, mask_token=token)
    pixels = mask.reshape(2, 4, 6).repeat(4, axis=1).repeat(4, axis=2)
    changed = IMAGES + 3.0 * pixels[..., None].astype("float32")
    others = encoder(changed, mask=mask, mask_token=token)
    assert_same(others, features, atol=1e-6)
    others = encoder(IMAGES, mask=mask, mask_token=token[::-1].copy())
    difference = to_numpy(others["global"]) - to_numpy(features["global"])
    assert np.abs(difference).max() > 1e-3
    nothing = encoder(IMAGES, mask=np.zeros_like(mask), mask_token=token)
    assert_same(nothing, encoder(IMAGES))


@pytest.mark.parametrize("name", ENCODERS)
def test_without_the_final_norm(encoders, name):
    encoder = encoders[name]
    tokens = encoder.embed(IMAGES)
    outputs = encoder.encode(*tokens, (1,), normalize=False)
    normed = encoder.encode(*tokens, (1,))
    for key in ("patches", "layer_1"):
        x = to_numpy(outputs[key])
        if name != "capi":
            x = x - x.mean(axis=-1, keepdims=True)
        x = x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-6)
        np.testing.assert_allclose(x, to_numpy(normed[key]), atol=1e-3)


@pytest.mark.parametrize("name", ENCODERS)
def test_attention_mask(encoders, name):
    """With a causal mask, the last patch changes itself alone."""
    encoder = encoders[name]
    count = encoder.num_prefix_tokens
    mask = np.tril(np.ones((1, count + 24, count + 24), bool))
    changed = IMAGES.copy()
    changed[:, -4:, -4:] += 1.0
    outputs = [
        encoder.encode(*encoder.embed(x), attention_mask=mask)
        for x in (IMAGES, changed)
    ]
    first, second = (to_numpy(x["patches"]) for x in outputs)
    np.testing.assert_allclose(second[:, :-1], first[:, :-1], atol=1e-5)
    assert np.abs(second[:, -1] - first[:, -1]).max() > 1e-3


@pytest.mark.parametrize("name", ENCODERS)
def test_padding_for_any_image_size(name):
    encoder = make_encoder(name, pad=True)
    images = make_images(2, 14, 21)
    padded = np.zeros((2, 16, 24, 3), "float32")
    padded[:, :14, :21] = images
    features = encoder(images, layers=(1,))
    assert features["feature_map"].shape == (2, 4, 6, 16)
    assert_same(features, encoder(padded, layers=(1,)))
    assert_spec(encoder, features, ops.convert_to_tensor(images), layers=(1,))
    assert_same(encoder.predict(images, verbose=0), encoder(images))
    assert type(encoder).from_config(encoder.get_config()).pad


@pytest.mark.parametrize("name", ENCODERS)
def test_half_precision(encoders, name):
    encoder = make_encoder(name, dtype="mixed_bfloat16")
    encoder.set_weights(encoders[name].get_weights())
    features = encoder(IMAGES)
    assert_spec(encoder, features, ops.convert_to_tensor(IMAGES))
    assert_same(features, encoders[name](IMAGES), atol=0.2)
    features = encoder(IMAGES, visible_indices=VISIBLE)
    positions = features["positions"]
    assert keras.backend.standardize_dtype(positions.dtype) == "float32"


@pytest.mark.parametrize("name", ENCODERS)
def test_config_and_files(encoders, name, tmp_path):
    encoder = encoders[name]
    config = encoder.get_config()
    clone = type(encoder).from_config(config)
    assert clone.get_config() == config
    expected = encoder(IMAGES)
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    assert_same(loaded(IMAGES), expected, atol=1e-6)
    encoder.save_weights(tmp_path / "encoder.weights.h5")
    clone.load_weights(tmp_path / "encoder.weights.h5")
    assert_same(clone(IMAGES), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["class_token", "all_positions"])
def test_preset(encoders, name, tmp_path):
    encoders[name].save_to_preset(tmp_path)
    loaded = type(encoders[name]).from_preset(tmp_path)
    assert_same(loaded(IMAGES), encoders[name](IMAGES), atol=1e-6)


@pytest.mark.parametrize("name", ENCODERS)
def test_functional_model_of_any_image_size(encoders, name):
    encoder = encoders[name]
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, encoder(inputs)["feature_map"])
    sizes = [(16, 24), (12, 20)]
    if "positions" not in name and name != "relative":
        sizes.append((24, 16))
    for size in sizes:
        images = make_images(2, *size)
        assert_same(
            model.predict(images, verbose=0), encoder(images)["feature_map"]
        )


@pytest.mark.skipif(
    BACKEND != "tensorflow", reason="the others know each image size"
)
@pytest.mark.parametrize("name", ENCODERS)
def test_one_graph_for_all_image_sizes(name):
    import tensorflow as tf

    encoder = make_encoder(name, pad=True)
    run = tf.function(
        lambda images: encoder(images),
        input_signature=[tf.TensorSpec((None, None, None, 3))],
    )
    for size in ((16, 24), (14, 21), (11, 8)):
        images = make_images(3, *size)
        assert_same(run(images), encoder(images))


def test_rematerialisation_changes_no_number():
    losses = []
    for mode in (None, "full"):
        keras.utils.set_random_seed(0)
        with keras.RematScope(mode=mode):
            encoder = make_encoder(
                "all_positions",
                drop_path_rate=0.5,
                attention_dropout_rate=0.3,
                seed=0,
            )
        inputs = keras.Input((16, 24, 3))
        model = keras.Model(inputs, encoder(inputs)["feature_map"])
        model.compile("adam", "mse")
        targets = np.ones((2, 4, 6, 16), "float32")
        losses.append([model.train_on_batch(IMAGES, targets) for _ in range(3)])
    np.testing.assert_allclose(*losses, rtol=1e-4)
    assert losses[0][0] != losses[0][2]


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
@pytest.mark.usefixtures("few_to_collect")
def test_quantized_and_loaded(tmp_path):
    encoder = make_encoder("all_positions")
    expected = to_numpy(encoder(IMAGES)["feature_map"])
    encoder.quantize("int8")
    features = encoder(IMAGES)
    error = np.linalg.norm(to_numpy(features["feature_map"]) - expected)
    assert 0 < error / np.linalg.norm(expected) < 0.05
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    assert_same(loaded(IMAGES), features, atol=1e-6)


@pytest.mark.parametrize("name", ENCODERS)
def test_lora(name):
    encoder = make_encoder(name, lora_rank=2)
    features = encoder(IMAGES)
    names = {weight.name for weight in encoder.trainable_weights}
    assert names == {"lora_kernel_a", "lora_kernel_b"}
    clone = type(encoder).from_config(encoder.get_config())
    assert clone.lora_rank == 2
    plain = make_encoder(name)
    assert len(plain.trainable_weights) < len(encoder.weights)
    assert features["global"].shape == (2, encoder.global_dim)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_frozen_encoder_stays_frozen(name):
    encoder = make_encoder(name)
    encoder.trainable = False
    clone = type(encoder).from_config(encoder.get_config())
    assert not clone.trainable_weights
    clone.trainable = True
    encoder.trainable = True
    assert len(clone.trainable_weights) == len(encoder.trainable_weights) > 0


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("layer", [0, -1, 3, True, 1.0, None])
def test_attention_of_blocks_that_are_none(encoders, name, layer):
    with pytest.raises(ValueError, match="`layer` must be.*layer="):
        encoders[name].attention_weights(IMAGES, layer)


def test_the_network_of_capi_checks_indices_too(encoders):
    for indices, message in (
        (np.ones((2, 24), bool), "must be an integer array.*bool"),
        (VISIBLE[:1], r"\(1, 4\) for 2 images"),
    ):
        with pytest.raises(ValueError, match=message):
            encoders["capi"].encoder(IMAGES, indices)


@pytest.mark.parametrize("name", ENCODERS)
def test_errors_of_a_call(encoders, name):
    encoder = encoders[name]
    mask, token = np.zeros((2, 24), bool), np.zeros(16, "float32")
    for arguments, message in (
        ({"mask": mask}, "`mask` and `mask_token` must be given together"),
        ({"mask_token": token}, "`mask` and `mask_token` must be given"),
        (
            {"mask": mask, "mask_token": token, "visible_indices": VISIBLE},
            "Only one of `mask` and `visible_indices`",
        ),
        (
            {"mask": mask[:, :1], "mask_token": token},
            r"`mask` must have shape \(batch, 24\).*\(2, 1\)",
        ),
        (
            {"mask": mask, "mask_token": token[None]},
            r"`mask_token` must have shape \(16,\).*\(1, 16\)",
        ),
        (
            {"mask": mask[:1], "mask_token": token},
            r"`mask` must have shape \(batch, 24\).*\(1, 24\) for 2 images",
        ),
        (
            {"mask": mask.astype("float32"), "mask_token": token},
            "`mask` must be a Boolean array or tensor.*float",
        ),
        (
            {"mask": np.argsort(mask), "mask_token": token},
            "`mask` must be a Boolean array or tensor.*int",
        ),
        (
            {"mask": mask.tolist(), "mask_token": token},
            "`mask` must be a Boolean array or tensor.*list",
        ),
        (
            {"mask": mask, "mask_token": [0.0] * 16},
            r"`mask_token` must have shape \(16,\)",
        ),
        ({"visible_indices": VISIBLE[0]}, r"`visible_indices` must have"),
        (
            {"visible_indices": VISIBLE[:1]},
            r"`visible_indices` must have shape.*\(1, 4\) for 2 images",
        ),
        (
            {"visible_indices": ~mask},
            "`visible_indices` must be an integer array.*bool",
        ),
        (
            {"visible_indices": VISIBLE + 0.5},
            "`visible_indices` must be an integer array.*float",
        ),
        (
            {"visible_indices": VISIBLE.tolist()},
            "`visible_indices` must be an integer array.*list",
        ),
        ({"layers": (3,)}, r"`layers` must be.*layers=\(.*3.*num_layers=2"),
        ({"layers": (0,)}, r"`layers` must be.*layers=\("),
    ):
        with pytest.raises(ValueError, match=message):
            encoder(IMAGES, **arguments)
        # As without values.
        specs = {
            key: keras.KerasTensor(value.shape, value.dtype)
            if isinstance(value, np.ndarray)
            else value
            for key, value in arguments.items()
        }
        with pytest.raises(ValueError, match=message):
            encoder.compute_output_spec(IMAGES, **specs)
    for images, message in (
        (make_images(2, 14, 24), "height of `images` must be divisible"),
        (make_images(2, channels=4), "`images` must have 3 channels"),
        (IMAGES[0], "`images` must have rank 4"),
    ):
        with pytest.raises(ValueError, match=message):
            encoder(images)


def test_a_new_encoder_needs_two_methods():
    """The contract, as one who adds an encoder meets it."""

    class Plain(Encoder):
        def __init__(self, **arguments):
            super().__init__(4, 1, 48, 0, (None, None, 3), **arguments)
            self.blocks = []
            self.finish()

        def embed(self, images, visible_indices=None):
            tokens = ops.reshape(images, (len(images), -1, 48))
            return tokens, ops.zeros((1, tokens.shape[1], 1))

        def encode(self, tokens, positions, layers=(), *args, **kwargs):
            return self.name_outputs({1: tokens}, positions, layers)

    features = Plain()(IMAGES, layers=(1,))
    assert list(features) == ["global", "prefix", "feature_map", "layer_1"]
    assert features["feature_map"].shape == (2, 4, 6, 48)
    assert Plain().attention_weights(IMAGES, 1) == {}
