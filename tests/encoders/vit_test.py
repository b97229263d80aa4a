import keras
import numpy as np
import pytest
from helpers import make_images
from helpers import to_numpy

from keras_capi.convert.vit_keys import pair_entries
from keras_capi.convert.vit_keys import vit_entries
from keras_capi.encoders import ViT
from keras_capi.layers.blocks.block_stack import run_blocks

SIZES = {
    "patch_size": 4,
    "num_layers": 2,
    "hidden_dim": 16,
    "num_heads": 2,
    "image_shape": (16, 16, 3),
}


def test_global_feature_is_the_class_token_or_the_mean():
    images = make_images(2)
    features = ViT(**SIZES, num_register_tokens=2)(images)
    np.testing.assert_array_equal(
        to_numpy(features["global"]), to_numpy(features["prefix"])[:, 0]
    )
    encoder = ViT(**SIZES, class_token=False, num_register_tokens=2)
    features = encoder(images)
    np.testing.assert_allclose(
        to_numpy(features["global"]),
        to_numpy(features["feature_map"]).mean(axis=(1, 2)),
        atol=1e-6,
    )


def test_norms_that_come_last():
    encoder = ViT(**SIZES, post_norm=True)
    paths = [variable.path for variable in encoder.weights]
    assert not any("final_norm" in path for path in paths)
    tokens = encoder.add_positions(*encoder.embed(make_images(2)))
    np.testing.assert_allclose(to_numpy(tokens).mean(axis=-1), 0.0, atol=1e-5)
    for block in encoder.blocks:
        tokens = block(tokens)
    outputs = encoder.encode_images(make_images(2))
    patches = to_numpy(tokens)[:, 1:]
    np.testing.assert_allclose(to_numpy(outputs["patches"]), patches, atol=1e-5)
    # The first norm comes before the blocks, and nothing behind them.
    first, *blocks, behind = encoder.weights_by_depth()
    assert any(w is encoder.first_norm.gamma for w in first)
    assert (len(blocks), behind) == (2, [])
    assert encoder.list_unused_parts(True, normalize=False) == []


def test_positions_change_features():
    images = make_images(2)
    moved = np.roll(images, 4, axis=2)
    for arguments, knows_places in (
        ({"positions": "learned"}, True),
        ({"positions": "sine"}, True),
        ({"positions": None}, False),
        ({"positions": None, "relative_positions": "shared"}, True),
        ({"positions": None, "relative_positions": "per_block"}, True),
    ):
        encoder = ViT(**SIZES, **arguments)
        for bias in encoder.positions.biases:
            bias.table.assign(np.random.default_rng(0).normal(size=(52, 2)))
        features, others = (
            to_numpy(encoder(x)["global"]) for x in (images, moved)
        )
        assert (np.abs(features - others).max() > 1e-4) == knows_places


def test_registers_have_no_positions():
    encoder = ViT(**SIZES, num_register_tokens=3)
    assert encoder.num_prefix_tokens == 4
    assert tuple(encoder.positions.table.table.shape) == (1 + 16, 16)


def test_stochastic_depth_is_for_training_and_grows():
    encoder = ViT(**SIZES, drop_path_rate=0.5, seed=0)
    images = np.repeat(make_images(1), 40, axis=0)
    calm = to_numpy(encoder(images)["global"])
    np.testing.assert_allclose(calm, calm[:1].repeat(40, axis=0), atol=1e-5)
    outputs = encoder.encode(
        *encoder.embed(images), layers=(1, 2), training=True
    )
    first, second = (
        to_numpy(outputs[name])[:, 0] for name in ("layer_1", "layer_2")
    )
    np.testing.assert_allclose(first, first[:1].repeat(40, axis=0), atol=1e-5)
    assert len(np.unique(second.round(4), axis=0)) == 4


def test_stochastic_depth_of_one_rate():
    # Of 40 samples 20 take each branch, of the first block too.
    encoder = ViT(
        **SIZES, drop_path_rate=0.5, drop_path_method="efficient", seed=0
    )
    images = np.repeat(make_images(1), 40, axis=0)
    outputs = encoder.encode(
        *encoder.embed(images), layers=(1,), training=True, normalize=False
    )
    tokens = encoder.add_positions(*encoder.embed(images))
    difference = to_numpy(outputs["layer_1"])[:, 0] - to_numpy(tokens)[:, 0]
    kinds, counts = np.unique(difference.round(3), axis=0, return_counts=True)
    assert len(kinds) == 4
    untouched = counts[(kinds == 0).all(axis=1)]
    assert 0 < untouched[0] < 20
    assert encoder.get_config()["drop_path_method"] == "efficient"


class Trained(keras.Model):
    """Calls an encoder's functions within a call that trains."""

    def __init__(self, encoder, training):
        super().__init__()
        self.encoder = encoder
        self.mode = training

    def call(self, images, training=None):
        tokens, positions = self.encoder.embed(images)
        return self.encoder.encode(tokens, positions, training=self.mode)[
            "patches"
        ]


def test_attention_dropout_is_for_training():
    encoder = ViT(**SIZES, attention_dropout_rate=0.5, seed=0)
    images = make_images(2)
    calm = to_numpy(encoder.encode_images(images)["patches"])
    # Inference within a training step, as teachers have it, drops nothing.
    outputs = Trained(encoder, False)(images, training=True)
    np.testing.assert_array_equal(to_numpy(outputs), calm)
    first, second = (
        to_numpy(Trained(encoder, True)(images, training=True))
        for _ in range(2)
    )
    assert np.abs(first - calm).max() > 1e-2
    assert np.abs(first - second).max() > 1e-2
    weights = to_numpy(encoder.attention_weights(images, 2)["prefix"])
    np.testing.assert_allclose(weights.sum(axis=-1), 1.0, atol=1e-5)


def test_attention_dropout_of_each_block():
    def given_to_blocks(rate):
        encoder = ViT(**SIZES, attention_dropout_rate=rate, seed=0)
        # Its own sequence, not that of the stochastic depth.
        assert encoder.attention_dropout.seed != encoder.drop_path.seed == 0
        given = []

        def note(block):
            def call(tokens, **arguments):
                given.append(arguments)
                return block(tokens, **arguments)

            return call

        tokens = encoder.add_positions(*encoder.embed(make_images(8)))
        blocks = [note(block) for block in encoder.blocks]
        for function, block in zip(blocks, encoder.blocks, strict=True):
            function.num_heads = block.num_heads
        list(
            run_blocks(
                blocks, tokens, attention_dropout=encoder.attention_dropout
            )
        )
        return given

    assert given_to_blocks(0.0) == [{}, {}]
    first, second = (
        to_numpy(arguments["attention_dropout_sample"])
        for arguments in given_to_blocks(0.5)
    )
    assert first.shape == second.shape == (8, 2, 17, 17)
    assert (first == second).mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_attention_dropout_goes_on_where_it_was_saved(tmp_path, suffix):
    arguments = {**SIZES, "attention_dropout_rate": 0.3}
    encoder = ViT(**arguments, seed=1)
    images = make_images(2)
    encoder(images, training=True)
    path = tmp_path / f"encoder{suffix}"
    if suffix == ".keras":
        encoder.save(path)
        loaded = keras.saving.load_model(path)
    else:
        encoder.save_weights(path)
        loaded = ViT(**arguments, seed=2)
        loaded.load_weights(path)
    assert loaded.get_config()["attention_dropout_rate"] == 0.3
    for _ in range(2):
        np.testing.assert_array_equal(
            to_numpy(loaded(images, training=True)["global"]),
            to_numpy(encoder(images, training=True)["global"]),
        )


def test_attention_dropout_may_be_turned_on_later(tmp_path):
    encoder = ViT(**SIZES)
    encoder.save_weights(tmp_path / "encoder.weights.h5")
    other = ViT(**SIZES, attention_dropout_rate=0.3, seed=1)
    other.load_weights(tmp_path / "encoder.weights.h5")
    images = make_images(2)
    np.testing.assert_array_equal(
        to_numpy(other(images)["global"]), to_numpy(encoder(images)["global"])
    )


def test_initialisers():
    bounds = []
    for initializer in ("glorot_uniform", "zeros"):
        encoder = ViT(
            **SIZES,
            kernel_initializer=initializer,
            patch_initializer=initializer,
        )
        bounds.append(
            [
                np.abs(to_numpy(kernel)).max()
                for kernel in (
                    encoder.patch_embedding.kernel,
                    *(p.kernel for p in encoder.blocks[0].projections),
                )
            ]
        )
    # As wide as it is fused: queries, keys and values are one matrix.
    fans = [48 + 16, 16 + 48, 16 + 16, 16 + 64, 64 + 16]
    np.testing.assert_allclose(bounds[0], np.sqrt(6 / np.array(fans)), rtol=0.1)
    assert not any(bounds[1])


def test_sines_do_not_train():
    encoder = ViT(**SIZES, positions="sine")
    encoder.trainable = False
    encoder.trainable = True
    assert not any("table" in w.path for w in encoder.trainable_weights)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"positions": "cosine"}, "`positions` must be one of.*'cosine'"),
        ({"relative_positions": "all"}, "`relative_positions` must be.*'all'"),
        ({"image_shape": (None, 16, 3)}, "`image_shape` must have a height"),
        ({"image_shape": (18, 16, 3)}, "`image_shape` must be divisible"),
        ({"hidden_dim": 18, "positions": "sine"}, "divisible by 4.*18"),
        ({"num_heads": 3}, "divide the width.*num_heads=3, width=16"),
        ({"drop_path_rate": 1.0}, r"`drop_path_rate` must be in \[0, 1\)"),
        (
            {"attention_dropout_rate": 1.0},
            r"`attention_dropout_rate` must be in \[0, 1\)",
        ),
        ({"num_register_tokens": -1}, "`num_register_tokens`.*-1"),
        ({"drop_path_method": "none"}, "`method` must be one of.*none"),
        ({"activation": "relu"}, "`activation` must be one of.*'relu'"),
        ({"lora_rank": 0}, "`lora_rank` must be a positive integer.*=0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ViT(**{**SIZES, **arguments})


def test_relative_positions_are_for_images_up_to_a_size():
    encoder = ViT(**SIZES, relative_positions="shared")
    encoder(make_images(1, 8, 12))
    with pytest.raises(ValueError, match="cannot be larger.*5.*at most"):
        encoder(make_images(1, 20, 16))


def timm_weights(depth=2, width=16, relative=None):
    """Arrays by timm's names, each of its own shape."""
    generator = np.random.default_rng(0)
    shapes = {
        "cls_token": (1, 1, width),
        "register_tokens": (1, 3, width),
        "pos_embed": (1, 17, width),
        "patch_embed.proj.weight": (width, 3, 4, 4),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }
    for index in range(depth):
        prefix = f"blocks.{index}."
        for norm in ("norm1", "norm2"):
            shapes[f"{prefix}{norm}.weight"] = (width,)
            shapes[f"{prefix}{norm}.bias"] = (width,)
        for name, size, inputs in (
            ("attn.qkv", 3 * width, width),
            ("attn.proj", width, width),
            ("mlp.fc1", 4 * width, width),
            ("mlp.fc2", width, 4 * width),
        ):
            shapes[f"{prefix}{name}.weight"] = (size, inputs)
            shapes[f"{prefix}{name}.bias"] = (size,)
        shapes[f"{prefix}ls1.gamma"] = (width,)
        shapes[f"{prefix}gamma_2"] = (width,)
        shapes[f"{prefix}attn.relative_position_bias_table"] = (52, 2)
    return {
        name: generator.normal(size=shape).astype("float32")
        for name, shape in shapes.items()
    }


def test_all_weights_have_names():
    encoder = ViT(
        **SIZES,
        num_register_tokens=3,
        relative_positions="per_block",
        layer_scale=0.1,
    )
    tensors = timm_weights()
    pairs = pair_entries(vit_entries(encoder, tensors), tensors)
    paired = {id(variable) for variable, _ in pairs}
    assert paired == {id(weight) for weight in encoder.weights}
    # Both sides count once: no array has two places.
    assert len(pairs) == len(encoder.weights)
    by_path = {v.path.split("/", 1)[1]: array for v, array in pairs}
    np.testing.assert_array_equal(
        by_path["block_1/mlp_hidden/kernel"],
        tensors["blocks.1.mlp.fc1.weight"].T,
    )
    np.testing.assert_array_equal(
        by_path["patch_embedding/kernel"].reshape(4, 4, 3, 16)[1, 2, 0],
        tensors["patch_embed.proj.weight"][:, 0, 1, 2],
    )
    np.testing.assert_array_equal(
        by_path["block_0/mlp_scale/gamma"], tensors["blocks.0.gamma_2"]
    )


def test_names_must_be_those_of_the_encoder():
    encoder = ViT(
        **SIZES,
        num_register_tokens=3,
        relative_positions="per_block",
        layer_scale=0.1,
    )
    tensors = timm_weights()
    entries = vit_entries(encoder, tensors)
    with pytest.raises(ValueError, match=r"Unexpected: \['head.weight'\]"):
        pair_entries(entries, {**tensors, "head.weight": 0})
    del tensors["pos_embed"]
    with pytest.raises(ValueError, match=r"Missing: \['pos_embed'\]"):
        pair_entries(entries, tensors)
    pairs = pair_entries(entries, tensors, optional=("pos_embed",))
    assert len(pairs) == len(encoder.weights) - 1
    with pytest.raises(ValueError, match="`norm.bias` must have the shape"):
        pair_entries(
            entries, {**tensors, "norm.bias": np.zeros(3)}, ("pos_embed",)
        )
