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
