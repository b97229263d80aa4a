"""Recipes of published sizes, which are too large to train in a test."""

import math

import keras
import numpy as np
import pytest

import keras_capi
from keras_capi.recipes import list_recipes
from keras_capi.recipes import load_recipe
from keras_capi.recipes import make_model
from keras_capi.recipes import pretrain

# What recipes say does not depend on the backend. JAX would compile each step,
# and torch has a device of tensors without values, that cost nothing.
pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="on one backend"
)

# Parameters of the encoder, those that train of the whole model, and the
# highest rate. ViT-B/16, S/16 and H/14 have 86, 22 and 631 million, AIM-0.6B
# 681 and iGPT-S 76, as published.
SIZES = {
    "aim_base": (680_928_768, 1_087_591_936, 1e-3),
    "base": (32_099_328, 35_250_944, 2e-3),
    "beit_base": (85_665_360, 91_965_776, 1.5e-3),
    "colorization_base": (85_741_056, 89_498_512, 6e-4),
    "context_encoder_base": (85_402_368, 85_352_640, 2e-3),
    "data2vec2_base": (85_798_656, 88_233_216, 1e-3),
    "data2vec_base": (85_665_360, 86_256_720, 2e-3),
    "deepcluster_base": (21_665_664, 23_872_512, 4.8),
    "deepcluster_v1_base": (21_567_360, 80_895_632, 0.05),
    "denoising_autoencoder_base": (85_798_656, 86_237_952, 2.4e-3),
    "dino_base": (21_665_664, 43_952_256, 2e-3),
    "dinov2_base": (85_724_928, 132_002_816, 4e-3),
    "ibot_base": (21_665_664, 29_280_768, 2e-3),
    "ijepa_base": (630_762_240, 652_713_984, 1e-3),
    "image_gpt_base": (76_311_040, 76_571_648, 3e-3),
    "mae_base": (85_798_656, 111_655_680, 2.4e-3),
    "paper_large": (453_683_712, 487_266_304, 1e-3),
    "relative_position_base": (85_675_776, 139_161_608, 3.75e-5),
    "rotation_base": (85_798_656, 85_650_436, 1.125e-4),
    "simclr_base": (21_665_664, 22_011_392, 4.8),
    "simmim_base": (85_665_360, 86_256_720, 4e-4),
    "swav_base": (21_665_664, 23_104_512, 4.8),
}
STEPS = 20_000


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """With as many words as DALL-E's, but as small as there is one."""
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.keras"
    keras_capi.tokenizers.DALLETokenizer(8192, hidden_dim=1, num_blocks=1).save(
        path
    )
    return path


def load(name, tokenizer, *settings):
    recipe = load_recipe(name, settings)
    if "tokenizer" in recipe:
        recipe["tokenizer"] = str(tokenizer)
    return recipe


def test_all_are_here():
    names = {x for x in list_recipes() if x.endswith("base")}
    assert names | {"paper_large"} == set(SIZES)


@pytest.mark.parametrize("name", list(SIZES))
def test_sizes_and_rates(name, tokenizer):
    recipe = load(name, tokenizer)
    with keras.device("meta"):
        model = make_model(recipe, STEPS)
    encoder, trained, rate = SIZES[name]
    assert model.encoder.count_params() == encoder
    assert trained == sum(math.prod(x.shape) for x in model.trainable_variables)
    optimizer = model.published_optimizer(
        STEPS, recipe["data"]["batch_size"], **recipe["optimizer"]
    )
    highest = optimizer.get_config()["learning_rate"]
    if isinstance(highest, dict):
        schedule = keras.saving.deserialize_keras_object(highest)
        highest = max(float(schedule(x)) for x in range(0, STEPS, 25))
    assert highest == pytest.approx(rate, rel=1e-3)


# Networks as small as they can be on images of the published size.
SMALLER = {
    "backbone": {
        "num_layers": 1,
        "predictor_num_layers": 1,
        "hidden_dim": 24,
        "num_heads": 2,
    },
    # Wide enough for data2vec 2.0's 16 groups of channels.
    "encoder": {"num_layers": 1, "hidden_dim": 32, "num_heads": 2},
    "decoder": {"num_layers": 1, "hidden_dim": 24, "num_heads": 2},
    "predictor": {"num_layers": 1, "hidden_dim": 24, "num_heads": 2},
    "discriminator": {"filters": [4, 4, 4, 4]},
}
SMALLER_HEADS = {
    "AlexNetHead": {"hidden_dim": 24, "output_dim": 24},
    # A narrow one would make so little of features that their norms have
    # gradients beyond half precision.
    "DINOHead": {"hidden_dim": 512, "num_prototypes": 16},
    "PairHead": {"hidden_dims": [24, 24, 24]},
    "PatchMLP": {"num_layers": 1, "hidden_dim": 24},
    "SwAVHead": {"hidden_dim": 24, "output_dim": 8},
}
SMALLER_NUMBERS = {
    "num_clusters": 4,
    "num_components": 2,
    "num_patch_prototypes": 16,
    "num_prototypes": 16,
}
PHOTOS = np.random.default_rng(0).integers(0, 256, (4, 150, 200, 3), "uint8")


@pytest.mark.parametrize("name", list(SIZES))
def test_first_steps(name, tokenizer, tmp_path):
    recipe = load(name, tokenizer, "training.steps=3", "data.batch_size=2")
    for section, settings in SMALLER.items():
        known = recipe.get(section, {})
        known |= {k: x for k, x in settings.items() if k in known}
    if "head" in recipe:
        recipe["head"] |= SMALLER_HEADS.get(recipe["head"]["class_name"], {})
    for key, value in SMALLER_NUMBERS.items():
        if key in recipe:
            is_list = isinstance(recipe[key], list)
            recipe[key] = [value] * 3 if is_list else value
    if name == "paper_large":
        recipe["clustering"]["num_clusters"] = 16
    if name == "base":
        recipe["clustering"]["queue_size"] = 16
    if "target_layers" in recipe:
        recipe["target_layers"] = [1]
    if name == "image_gpt_base":
        recipe["encoder"] |= {"feature_layer": 1, "num_colors": 8}
    recipe["images"] = PHOTOS
    model = pretrain(recipe, tmp_path / "run", verbose=0)
    # Half precision begins with a factor of the loss that may be too high, and
    # halves it.
    updates = int(model.optimizer.iterations)
    is_scaled = recipe["training"]["precision"] == "mixed_float16"
    assert updates in ((1, 2, 3) if is_scaled else (3,))
