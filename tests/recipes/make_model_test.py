"""Models from recipes."""

import numpy as np
import pytest
from helpers import to_numpy

import keras_capi


def test_masking_and_stochastic_depth_draw_different_numbers():
    recipe = keras_capi.recipes.load_recipe("small")
    recipe["backbone"]["drop_path_rate"] = 0.1
    model = keras_capi.recipes.make_model(recipe, total_steps=10)
    draws = [
        to_numpy(part.random_state.uniform((8,)))
        for part in (
            model.masking,
            model.student.encoder.drop_path,
            model.student.predictor.drop_path,
        )
    ]
    for index, draw in enumerate(draws):
        for other in draws[:index]:
            assert not np.isin(draw, other).any()


@pytest.mark.parametrize("shape", ["64", "null", "[64, 64]", "wide"])
def test_wrong_shapes_of_images_name_their_section(shape):
    overrides = [f"encoder.image_shape={shape}"]
    recipe = keras_capi.recipes.load_recipe("mae_small", overrides)
    with pytest.raises(ValueError, match="`image_shape` must.*`encoder`"):
        keras_capi.recipes.make_model(recipe, total_steps=10)


def small_model(name, *overrides):
    """The model of a recipe, small, with patches of 8 pixels."""
    section = "backbone" if name == "small" else "encoder"
    sizes = {"num_layers": 1, "hidden_dim": 16, "num_heads": 2}
    sizes = [f"{section}.{k}={v}" for k, v in sizes.items()]
    recipe = keras_capi.recipes.load_recipe(name, [*sizes, *overrides])
    return keras_capi.recipes.make_model(recipe, total_steps=2)


@pytest.mark.parametrize(
    ("name", "overrides", "received"),
    [
        ("mae_small", ["encoder.image_shape=[32, 32, 3]"], "64 x 64"),
        # As many patches.
        ("mae_small", ["encoder.image_shape=[32, 128, 3]"], "64 x 64"),
        (
            "simmim_small",
            ["encoder.image_shape=[96, 96, 3]", "data.image_size=80"],
            "80 x 80",
        ),
        (
            "small",
            ["backbone.positions=learned", "backbone.image_shape=[32, 32, 3]"],
            r"backbone.image_shape=\[32, 32, 3\], and images .* 64 x 64",
        ),
        ("dino_small", ["encoder.image_shape=[96, 96, 3]"], "views of 64 x 64"),
        ("swav_small", ["views.global_size=48"], "views of 48 x 48"),
        ("deepcluster_v1_small", ["views.width=32"], "views of 64 x 32"),
    ],
)
def test_positions_for_other_images(name, overrides, received):
    with pytest.raises(ValueError, match=f"size that images have.*{received}"):
        small_model(name, *overrides)


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("mae_small", ["encoder.image_shape=[64, 64, 3]"]),
        # The last patches are padded.
        ("mae_small", ["encoder.image_shape=[60, 60, 3]", "encoder.pad=true"]),
        ("small", ["backbone.image_shape=[32, 32, 3]"]),
        (
            "rotation_small",
            ["encoder.positions=null", "encoder.image_shape=[32, 32, 3]"],
        ),
        ("dino_small", ["data.image_size=128"]),
        ("simclr_small", ["encoder.image_shape=[48, 48, 3]"]),
        # Parts of an image, whose places are to be told.
        ("relative_position_small", ["encoder.image_shape=[64, 64, 3]"]),
        ("image_gpt_small", ["data.image_size=24"]),
    ],
)
def test_images_of_other_sizes_than_the_encoder_names(name, overrides):
    assert small_model(name, *overrides).optimizer is not None
