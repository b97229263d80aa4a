"""Recipes of other methods than CAPI: nothing but a file says which."""

import inspect

import keras
import numpy as np
import pytest
import yaml
from helpers import to_numpy
from helpers import weights_of

import keras_capi
from keras_capi.methods import MAE
from keras_capi.recipes import find_classes
from keras_capi.recipes import load_recipe
from keras_capi.recipes import make_model
from keras_capi.recipes import pretrain

pytestmark = pytest.mark.usefixtures("untraced")

# What makes the small recipes as small as they can be.
SMALL = [
    "data.batch_size=4",
    "encoder.patch_size=4",
    "encoder.num_layers=1",
    "encoder.hidden_dim=16",
    "encoder.num_heads=2",
    "training.steps=2",
]
SETTINGS = {
    "mae_small": [
        "data.image_size=16",
        "decoder.num_layers=1",
        "decoder.hidden_dim=16",
        "decoder.num_heads=2",
    ],
    "colorization_small": ["data.image_size=16"],
    "context_encoder_small": [
        "data.image_size=16",
        "discriminator.filters=[4]",
    ],
    "denoising_autoencoder_small": ["data.image_size=16"],
    "deepcluster_small": [
        "data.image_size=24",
        "encoder.image_shape=[16, 16, 3]",
        "views.global_size=16",
        "views.local_size=8",
        "views.num_local_views=1",
        "num_prototypes=[2, 3]",
        "head.hidden_dim=16",
        "head.output_dim=8",
        # A second epoch, with clusters of its own.
        "training.steps=3",
    ],
    "deepcluster_v1_small": [
        "data.image_size=24",
        "encoder.image_shape=[16, 16, 3]",
        "views.height=16",
        "views.width=16",
        "num_clusters=3",
        "head.hidden_dim=16",
        "head.output_dim=8",
        "head.dropout_rate=0.5",
        "training.steps=3",
    ],
    "ijepa_small": [
        "data.image_size=16",
        "predictor.num_layers=1",
        "predictor.hidden_dim=16",
        "predictor.num_heads=2",
    ],
    "dino_small": [
        "data.image_size=24",
        "encoder.image_shape=[16, 16, 3]",
        "views.global_size=16",
        "views.local_size=8",
        "views.num_local_views=1",
        "head.num_prototypes=8",
        "head.hidden_dim=16",
        "head.bottleneck_dim=8",
    ],
    "aim_small": [
        "data.image_size=16",
        "head.num_layers=1",
        "head.hidden_dim=16",
    ],
    "data2vec_small": ["data.image_size=16"],
    "data2vec2_small": [
        "data.image_size=16",
        "decoder.num_layers=1",
        "num_masks=2",
    ],
    "relative_position_small": [
        "data.image_size=24",
        "encoder.image_shape=[16, 16, 3]",
        "views.crop_size=8",
        "head.hidden_dims=[16, 16, 16]",
    ],
    "image_gpt_small": [
        "data.image_size=16",
        "encoder.image_size=16",
        "encoder.num_colors=8",
    ],
    "rotation_small": ["data.image_size=16"],
    "simclr_small": ["data.image_size=24", "encoder.image_shape=[16, 16, 3]"],
    "simmim_small": ["data.image_size=16"],
    "swav_small": [
        "data.image_size=24",
        "encoder.image_shape=[16, 16, 3]",
        "views.global_size=16",
        "views.local_size=8",
        "views.num_local_views=1",
        "num_prototypes=8",
        "head.hidden_dim=16",
        "head.output_dim=8",
        "queue_size=8",
        "queue_start=1",
        # The first with a full queue.
        "training.steps=3",
    ],
}
SETTINGS["ibot_small"] = SETTINGS["dino_small"]
SETTINGS["dinov2_small"] = [*SETTINGS["dino_small"], "num_patch_prototypes=8"]
IMAGES = np.random.default_rng(0).integers(0, 256, (9, 20, 30, 3), "uint8")


def small_recipe(name, *overrides):
    settings = [*SMALL, *SETTINGS[name], *overrides]
    if "patch_size" not in load_recipe(name)["encoder"]:
        settings.remove("encoder.patch_size=4")
    return {**load_recipe(name, settings), "images": IMAGES}


@pytest.mark.parametrize("name", list(SETTINGS))
def test_trains_goes_on_and_does_the_same_again(name, tmp_path):
    recipe = small_recipe(name)
    steps = recipe["training"]["steps"]
    model = pretrain(recipe, tmp_path / "run", verbose=0)
    assert int(model.optimizer.iterations) == steps
    assert type(model).__name__ == recipe["method"]
    assert np.load(tmp_path / "run" / "pictures.npy").shape == (9, 16, 16, 3)
    loss = next(iter(model.loss_weights))
    head = (tmp_path / "run" / "history.csv").read_text().splitlines()[0]
    assert loss in head.split(",")
    # Finished: the same command trains no further.
    again = pretrain(recipe, tmp_path / "run", verbose=0)
    assert int(again.optimizer.iterations) == steps

    path = tmp_path / "run" / "recipe.yaml"
    written = yaml.safe_load(path.read_text())
    assert written["method"] == recipe["method"]
    assert written["encoder"]["class_name"] in (
        "AIMEncoder",
        "ImageGPTEncoder",
        "ViT",
    )
    settings = written["optimizer"]
    assert settings.get("beta_1", settings.get("momentum")) == 0.9
    repeated = pretrain(
        {**load_recipe(path), "images": IMAGES}, tmp_path / "b", verbose=0
    )
    loaded = keras.saving.load_model(tmp_path / "run" / "model.keras")
    for other in (repeated, loaded):
        for weight, expected in zip(
            weights_of(other), weights_of(model), strict=True
        ):
            np.testing.assert_array_equal(weight, expected)

    with pytest.raises(ValueError, match="encoder.num_layers is 2, was 1"):
        pretrain(
            small_recipe(name, "encoder.num_layers=2"),
            tmp_path / "run",
            verbose=0,
        )


def test_the_published_mae_is_complete():
    recipe = load_recipe("mae_base")
    assert recipe["data"]["batch_size"] == 4096
    assert recipe["data"]["scale"] == [0.2, 1.0]
    sizes = [
        recipe["encoder"][name]
        for name in ("patch_size", "num_layers", "hidden_dim", "num_heads")
    ]
    assert sizes == [16, 12, 768, 12]
    decoder = [
        recipe["decoder"][name]
        for name in ("num_layers", "hidden_dim", "num_heads")
    ]
    assert decoder == [8, 512, 16]
    assert recipe["masking"]["mask_ratio"] == 0.75
    assert recipe["normalize_pixels"] is True
    assert recipe["training"]["epochs"] == 800


def test_the_published_simmim_is_complete():
    recipe = load_recipe("simmim_base")
    encoder = recipe["encoder"]
    sizes = [
        encoder[name]
        for name in ("patch_size", "num_layers", "hidden_dim", "num_heads")
    ]
    assert sizes == [16, 12, 768, 12]
    kinds = ("positions", "relative_positions", "use_key_bias", "layer_scale")
    assert [encoder[x] for x in kinds] == [None, "shared", False, 0.1]
    assert recipe["masking"]["mask_ratio"] == 0.6
    assert recipe["data"]["batch_size"] == 2048
    assert recipe["training"]["epochs"] == 800
    recipe = small_recipe("simmim_small")
    recipe["encoder"]["kernel_initializer"] = encoder["kernel_initializer"]
    recipe["encoder"]["hidden_dim"] = 64
    kernel = to_numpy(
        make_model(recipe, 10).encoder.blocks[0].mlp_hidden.kernel
    )
    # A normal distribution of 0.02, cut off at one deviation.
    assert kernel.std() == pytest.approx(0.0108, rel=0.05)


def test_published_optimizers():
    """The rules of the methods, where a recipe leaves them to them."""
    recipe = small_recipe("mae_small", "data.batch_size=512")
    recipe["optimizer"] = load_recipe("mae_base")["optimizer"]
    config = make_model(recipe, 800).optimizer.get_config()
    assert (config["beta_1"], config["beta_2"]) == (0.9, 0.95)
    assert config["weight_decay"] == 0.05
    rate = config["learning_rate"]["config"]
    assert rate["base_value"] == pytest.approx(3e-4)
    assert rate["warmup_steps"] == 40

    recipe = small_recipe("dino_small", "data.batch_size=512")
    recipe["optimizer"] = load_recipe("dino_base")["optimizer"]
    recipe["ema_momentum"] = load_recipe("dino_base")["ema_momentum"]
    model = make_model(recipe, 1000)
    config = model.optimizer.get_config()
    rate = config["learning_rate"]["config"]
    assert rate["base_value"] == pytest.approx(1e-3)
    assert (rate["warmup_steps"], rate["final_value"]) == (100, 1e-6)
    decay = config["weight_decay"]["config"]
    assert (decay["base_value"], decay["final_value"]) == (0.04, 0.4)
    assert (config["clip_norm"], config["clip_scope"]) == (3.0, "tensor")
    assert float(model.moving_average.momentum(0)) == pytest.approx(0.996)


def test_the_published_swav_is_complete():
    recipe = load_recipe("swav_base")
    assert recipe["data"]["batch_size"] == 4096
    assert recipe["training"]["epochs"] == 800
    recipe["encoder"] |= {"num_layers": 1, "hidden_dim": 24, "num_heads": 2}
    recipe["training"]["precision"] = "float32"
    model = make_model(recipe, 8000)
    rate = model.optimizer.get_config()["learning_rate"]["config"]
    assert rate["base_value"] == pytest.approx(4.8)
    assert rate["start_value"] == pytest.approx(0.3)
    assert rate["final_value"] == pytest.approx(0.0048)
    assert rate["warmup_steps"] == 100
    # The recipe says what the defaults are.
    published = keras_capi.methods.SwAV(model.encoder)
    for part in ("views", "head"):
        ours, theirs = (
            getattr(x, part).get_config() for x in (model, published)
        )
        for name in recipe[part].keys() - {"class_name"}:
            assert ours[name] == theirs[name], name
    ours, theirs = model.get_config(), published.get_config()
    for name in recipe.keys() & theirs.keys() - {"encoder", "views", "head"}:
        assert np.array_equal(ours[name], theirs[name]), name


# A head of 4,096 x 4,096 weights, to compare settings.
@pytest.mark.skipif(keras.backend.backend() != "torch", reason="on one backend")
@pytest.mark.parametrize("name", ["deepcluster_base", "deepcluster_v1_base"])
def test_the_published_deepcluster_is_complete(name):
    recipe = load_recipe(name)
    recipe["encoder"] |= {"num_layers": 1, "hidden_dim": 24, "num_heads": 2}
    model = make_model(recipe, 8000)
    # The recipe says what the defaults are.
    published = type(model)(model.encoder)
    for part in ("views", "head"):
        ours, theirs = (
            getattr(x, part).get_config() for x in (model, published)
        )
        for key in recipe[part].keys() - {"class_name"}:
            assert np.array_equal(ours[key], theirs[key]), key
    ours, theirs = model.get_config(), published.get_config()
    for key in recipe.keys() & theirs.keys() - {"encoder", "views", "head"}:
        assert np.array_equal(ours[key], theirs[key]), key
    batch_size = recipe["data"]["batch_size"]
    optimizer = published.published_optimizer(
        8000, batch_size, name=model.optimizer.name
    )
    assert model.optimizer.get_config() == optimizer.get_config()


def test_the_published_dino_is_complete():
    recipe = load_recipe("dino_base")
    sizes = [
        recipe["encoder"][name]
        for name in ("patch_size", "num_layers", "hidden_dim", "num_heads")
    ]
    assert sizes == [16, 12, 384, 6]
    assert recipe["encoder"]["drop_path_rate"] == 0.1
    assert recipe["head"]["num_prototypes"] == 65536
    assert recipe["views"]["num_local_views"] == 8
    assert recipe["data"]["batch_size"] == 1024
    assert recipe["training"]["epochs"] == 100
    recipe = small_recipe("dino_small")
    published = load_recipe("dino_base")["encoder"]
    for name in ("kernel_initializer", "patch_initializer"):
        recipe["encoder"][name] = published[name]
    recipe["encoder"]["hidden_dim"] = 64
    encoder = make_model(recipe, 10).student
    kernel = to_numpy(encoder.blocks[0].mlp_hidden.kernel)
    # Published as truncated at 2, not at two standard deviations.
    assert kernel.std() == pytest.approx(0.02, rel=0.05)
    # Uniform up to one over the root of the 48 values of a patch.
    kernel = to_numpy(encoder.patch_embedding.kernel)
    assert np.abs(kernel).max() == pytest.approx(48**-0.5, rel=0.05)


def test_the_published_colorization_is_complete():
    recipe = load_recipe("colorization_base")
    assert recipe["data"]["image_size"] == 176
    recipe["encoder"] |= {"num_layers": 1, "hidden_dim": 24, "num_heads": 2}
    model = make_model(recipe, 1000)
    # The recipe says what the defaults are.
    published = keras_capi.methods.Colorization(model.encoder)
    for part in ("targets", "corruption"):
        ours, theirs = (
            getattr(x, part).get_config() for x in (model, published)
        )
        for name in recipe[part].keys() - {"class_name"}:
            assert ours[name] == theirs[name], name


def test_the_published_simclr_is_complete():
    recipe = load_recipe("simclr_base")
    assert recipe["data"]["batch_size"] == 4096
    assert recipe["training"]["epochs"] == 100
    recipe["encoder"] |= {"image_shape": [32, 32, 3], "num_layers": 1}
    recipe["views"]["global_size"] = [32, 32]
    model = make_model(recipe, 1000)
    config = model.optimizer.get_config()
    rate = config["learning_rate"]["config"]
    assert rate["base_value"] == pytest.approx(4.8)
    assert rate["warmup_steps"] == 100
    # The recipe says what the defaults are.
    published = keras_capi.methods.SimCLR(model.encoder)
    for part in ("views", "head"):
        ours, theirs = (
            getattr(x, part).get_config() for x in (model, published)
        )
        for name in recipe[part].keys() - {"class_name"}:
            assert ours[name] == theirs[name], name


def test_the_published_ibot_is_complete():
    recipe = load_recipe("ibot_base")
    assert recipe["head"]["num_prototypes"] == 8192
    assert recipe["views"]["num_local_views"] == 10
    assert recipe["training"]["epochs"] == 800
    recipe = small_recipe("ibot_small", "data.batch_size=512")
    published = load_recipe("ibot_base")
    for name in ("optimizer", "ema_momentum", "patch_temperature", "masking"):
        recipe[name] = published[name]
    model = make_model(recipe, 1600)
    rate = model.optimizer.get_config()["learning_rate"]["config"]
    assert rate["base_value"] == pytest.approx(1e-3)
    assert rate["warmup_steps"] == 20
    assert model.optimizer.groups["last_layer"].frozen_steps == 2
    assert model.masking.mask_ratio == ((0.0, 0.0), (0.1, 0.5))
    assert float(model.patch_temperature(1599)) == pytest.approx(0.07)


def test_the_published_dinov2_is_complete():
    recipe = load_recipe("dinov2_base")
    assert recipe["head"]["num_prototypes"] == 65536
    assert recipe["views"]["num_local_views"] == 8
    small = small_recipe("dinov2_small", "data.batch_size=256")
    for name in ("optimizer", "ema_momentum", "teacher_temperature"):
        small[name] = recipe[name]
    for name in ("masking", "centering"):
        small[name] = recipe[name]
    for name in ("layer_scale", "drop_path_rate", "drop_path_method"):
        small["encoder"][name] = recipe["encoder"][name]
    for name in ("kernel_initializer", "token_initializer"):
        small["encoder"][name] = recipe["encoder"][name]
    model = make_model(small, 1000)
    token = to_numpy(model.student.prefix_tokens.class_token)
    assert 0 < np.abs(token).max() < 1e-5
    assert model.student.drop_path.method == "efficient"
    rate = model.optimizer.get_config()["learning_rate"]["config"]
    assert rate["base_value"] == pytest.approx(2e-3)
    assert model.optimizer.clip_scope == ["encoder", "head", "patch_head"]
    assert model.optimizer.groups["last_layer"].frozen_steps == 10
    assert model.masking.mask_ratio == ((0.1, 0.5),)
    assert float(model.teacher_temperature(999)) == pytest.approx(0.07)
    assert float(model.moving_average.momentum(0)) == pytest.approx(0.992)


def test_the_published_ijepa_is_complete():
    recipe = load_recipe("ijepa_base")
    assert recipe["data"]["batch_size"] == 2048
    assert recipe["data"]["scale"] == [0.3, 1.0]
    sizes = [
        recipe["encoder"][name]
        for name in ("patch_size", "num_layers", "hidden_dim", "num_heads")
    ]
    assert sizes == [14, 32, 1280, 16]
    predictor = [
        recipe["predictor"][name]
        for name in ("num_layers", "hidden_dim", "num_heads")
    ]
    assert predictor == [12, 384, 16]
    assert recipe["training"]["epochs"] == 300
    small = small_recipe("ijepa_small")
    small["optimizer"] = recipe["optimizer"]
    small["ema_momentum"] = recipe["ema_momentum"]
    small["masking"] = recipe["masking"]
    model = make_model(small, 300)
    published = keras_capi.layers.MultiBlockMasking().get_config()
    config = model.masking.get_config()
    for name in published.keys() - {"name", "seed", "min_visible"}:
        assert config[name] == published[name], name
    config = model.optimizer.get_config()
    rate = config["learning_rate"]["config"]
    assert (rate["base_value"], rate["warmup_steps"]) == (1e-3, 40)
    decay = config["weight_decay"]["config"]
    assert (decay["base_value"], decay["final_value"]) == (0.04, 0.4)
    assert float(model.moving_average.momentum(0)) == pytest.approx(0.996)


def test_the_published_data2vec_is_complete():
    recipe = load_recipe("data2vec_base")
    encoder = recipe["encoder"]
    sizes = [
        encoder[name]
        for name in ("patch_size", "num_layers", "hidden_dim", "num_heads")
    ]
    assert sizes == [16, 12, 768, 12]
    assert (encoder["layer_scale"], encoder["drop_path_rate"]) == (1e-4, 0.25)
    assert encoder["attention_dropout_rate"] == 0.05
    assert recipe["target_layers"] == [7, 8, 9, 10, 11, 12]
    assert recipe["masking"]["mask_ratio"] * 196 == pytest.approx(120)
    assert recipe["data"]["batch_size"] == 2048
    assert recipe["data"]["scale"] == [0.08, 1.0]
    assert recipe["training"]["epochs"] == 800
    small = small_recipe("data2vec_small", "encoder.attention_dropout_rate=0.2")
    for name in ("optimizer", "ema_momentum", "beta"):
        small[name] = recipe[name]
    model = make_model(small, 800)
    assert model.encoder.attention_dropout.rate == 0.2
    assert model.target_layers == (1,)
    assert model.moving_average.momentum == 0.9998
    config = model.optimizer.get_config()
    assert (config["clip_norm"], config["weight_decay"]) == (3.0, 0.05)
    rate = config["learning_rate"]["config"]
    assert (rate["base_value"], rate["warmup_steps"]) == (2e-3, 10)


def test_the_published_data2vec2_is_complete():
    recipe = load_recipe("data2vec2_base")
    encoder = recipe["encoder"]
    sizes = [
        encoder[name]
        for name in ("patch_size", "num_layers", "hidden_dim", "num_heads")
    ]
    assert sizes == [16, 12, 768, 12]
    assert recipe["target_layers"] == list(range(3, 13))
    assert recipe["data"]["batch_size"] == 256
    assert recipe["data"]["scale"] == [0.2, 1.0]
    assert recipe["training"]["epochs"] == 75
    for name, part in (
        ("masking", keras_capi.layers.InverseSquareMasking()),
        ("decoder", keras_capi.decoders.ConvolutionalPredictor(32, (2, 2))),
    ):
        published = part.get_config()
        for key, value in recipe[name].items():
            assert key == "class_name" or published[key] == value
    small = small_recipe("data2vec2_small")
    for name in ("optimizer", "ema_momentum", "class_weight", "num_masks"):
        small[name] = recipe[name]
    for name in ("positions", "post_norm", "token_initializer"):
        small["encoder"][name] = encoder[name]
    small["encoder"]["kernel_initializer"] = encoder["kernel_initializer"]
    small["encoder"]["hidden_dim"] = 256
    model = make_model(small, 750)
    assert model.encoder.first_norm is not None
    token = to_numpy(model.encoder.prefix_tokens.class_token)
    kernel = to_numpy(model.encoder.blocks[0].mlp_hidden.kernel)
    assert token.std() == pytest.approx(1.0, rel=0.2)
    assert kernel.std() == pytest.approx(0.02, rel=0.02)
    config = model.optimizer.get_config()
    assert (config["clip_norm"], config["weight_decay"]) == (4.0, 0.05)
    rate = config["learning_rate"]["config"]
    assert (rate["base_value"], rate["warmup_steps"]) == (1e-3, 100)
    # What the recipe says is what the method has anyway.
    method = inspect.signature(keras_capi.methods.Data2Vec2).parameters
    for name in ("num_masks", "class_weight", "ema_momentum"):
        assert method[name].default == recipe[name]


def test_the_published_context_encoder_is_complete():
    recipe = load_recipe("context_encoder_base")
    assert recipe["data"]["image_size"] == 128
    assert recipe["data"]["batch_size"] == 64
    assert recipe["training"]["epochs"] == 500
    small = small_recipe("context_encoder_small")
    for name in ("pixel_weight", "overlap_weight", "optimizer"):
        small[name] = recipe[name]
    small["corruption"] = {**recipe["corruption"], "overlap": 1}
    model = make_model(small, 10)
    config = model.optimizer.get_config()
    assert config["learning_rate"] == pytest.approx(2e-3)
    assert (config["beta_1"], config["epsilon"]) == (0.5, 1e-8)
    published = keras_capi.layers.Discriminator().get_config()
    for name, value in recipe["discriminator"].items():
        if name not in ("class_name", "filters"):
            assert published[name] == value
    # The default for windows of 64 pixels.
    assert recipe["discriminator"]["filters"] == [64, 128, 256, 512]
    assert model.discriminator.seed is not None


def test_the_large_denoising_autoencoder_is_complete():
    recipe = load_recipe("denoising_autoencoder_base")
    assert recipe["encoder"] == load_recipe("mae_base")["encoder"]
    assert recipe["optimizer"] == load_recipe("mae_base")["optimizer"]
    small = small_recipe("denoising_autoencoder_small", "data.image_size=16")
    for name in ("corruption", "corrupted_weight", "intact_weight"):
        small[name] = recipe[name]
    model = make_model(small, 10)
    config = model.corruption.get_config()
    assert (config["kind"], config["level"]) == ("masking_patches", 0.5)
    # Of its own, and not that of the model.
    assert config["seed"] is not None


def test_the_large_rotation_prediction_is_complete():
    recipe = load_recipe("rotation_base")
    assert recipe["encoder"] == load_recipe("mae_base")["encoder"]
    assert recipe["optimizer"] == load_recipe("mae_base")["optimizer"]
    data = recipe["data"]
    assert (data["batch_size"], data["scale"]) == (192, [0.08, 1.0])
    assert recipe["training"]["epochs"] == 50


def test_the_large_relative_positions_are_complete():
    recipe = load_recipe("relative_position_base")
    assert recipe["optimizer"] == load_recipe("mae_base")["optimizer"]
    published = keras_capi.layers.PatchGrid().get_config()
    for name, value in recipe["views"].items():
        assert name == "class_name" or published[name] == value
    head = keras_capi.layers.PairHead().get_config()
    assert tuple(recipe["head"]["hidden_dims"]) == head["hidden_dims"]
    assert recipe["training"]["steps"] == 1_000_000


def test_the_published_aim_is_complete():
    recipe = load_recipe("aim_base")
    published = keras_capi.encoders.AIMEncoder
    for name, parameter in inspect.signature(published).parameters.items():
        if name in recipe["encoder"]:
            assert recipe["encoder"][name] == parameter.default
    assert recipe["head"]["num_layers"] == 12
    assert recipe["data"]["batch_size"] == 4096
    assert recipe["training"]["steps"] == 500_000


def test_the_published_image_gpt_is_complete():
    recipe = load_recipe("image_gpt_base")
    encoder = recipe["encoder"]
    names = ("num_layers", "hidden_dim", "num_heads", "image_size")
    assert [encoder[name] for name in names] == [24, 512, 8, 32]
    assert encoder["num_colors"] == 512
    assert encoder["feature_layer"] == 12
    assert recipe["data"]["image_size"] == encoder["image_size"]
    assert recipe["data"]["batch_size"] == 128
    optimizer = recipe["optimizer"]
    assert optimizer["learning_rate"] == 3e-3
    assert (optimizer["beta_1"], optimizer["beta_2"]) == (0.9, 0.95)
    assert recipe["training"]["steps"] == 1_000_000


def test_a_palette_is_found_on_the_images(tmp_path, monkeypatch):
    recipe = small_recipe("image_gpt_small", "data.image_size=8")
    assert recipe["palette"] == "fit"
    recipe["encoder"]["image_size"] = 4
    # Reds alone.
    recipe["images"] = IMAGES * np.array([1, 0, 0], "uint8")
    model = pretrain(recipe, tmp_path / "run", verbose=0)
    colors = to_numpy(model.encoder.palette.colors)
    np.testing.assert_allclose(colors[:, 1:], -1.0, atol=1e-6)
    assert len(np.unique(colors[:, 0].round(3))) == 8
    np.testing.assert_array_equal(
        np.load(tmp_path / "run" / "palette.npy"), colors
    )
    # What goes on has the same, without another search.
    (tmp_path / "run" / "model.keras").unlink()
    monkeypatch.setattr(keras_capi.methods.ImageGPT, "fit_palette", None)
    again = pretrain(recipe, tmp_path / "run", verbose=0)
    np.testing.assert_array_equal(
        to_numpy(again.encoder.palette.colors), colors
    )
    np.testing.assert_array_equal(again.get_config()["palette"], colors)


def test_palettes_of_recipes(tmp_path):
    recipe = small_recipe("image_gpt_small")
    dark = {**recipe, "images": np.zeros((9, 20, 30, 3), "uint8")}
    match = "num_colors=8, 1 different pixels.*recipe's `palette`"
    with pytest.raises(ValueError, match=match):
        pretrain(dark, tmp_path / "run", verbose=0)
    assert not (tmp_path / "run").exists()
    with pytest.raises(ValueError, match="`palette` must be fit.*'fitted'"):
        load_recipe("image_gpt_small", ["palette=fitted"])
    # Without images, or with null, it is even; colours are taken as they are.
    even = to_numpy(make_model(recipe, 10).encoder.palette.colors)
    np.testing.assert_allclose(np.abs(even), 1 / 3, atol=1e-6)
    own = [[x / 10] * 3 for x in range(8)]
    model = make_model({**recipe, "palette": own}, 10)
    np.testing.assert_allclose(
        to_numpy(model.encoder.palette.colors), own, atol=1e-6
    )


def test_sizes_follow_from_the_images():
    model = make_model(small_recipe("mae_small", "data.image_size=24"), 10)
    assert model.encoder.image_shape == (24, 24, 3)
    assert model.decoder.positions.grid_size == (6, 6)
    assert model.decoder.context_dim == 16
    # But views are smaller than the images.
    model = make_model(small_recipe("dino_small", "data.image_size=32"), 10)
    assert model.encoder.image_shape == (16, 16, 3)


def test_schedules_are_parts():
    recipe = small_recipe("dino_small")
    recipe["teacher_temperature"] = {
        "class_name": "EpochWarmup",
        "start_value": 0.04,
        "final_value": 0.07,
        "warmup_epochs": 3,
        "steps_per_epoch": 2,
    }
    model = make_model(recipe, 10)
    assert float(model.teacher_temperature(4)) == pytest.approx(0.07)
    del recipe["teacher_temperature"]["final_value"]
    with pytest.raises(ValueError, match="in the recipe's `teacher_temp"):
        make_model(recipe, 10)


def test_errors_name_the_section(tmp_path):
    recipe = small_recipe("mae_small", "decoder.num_heads=3")
    with pytest.raises(ValueError, match="in the recipe's `decoder`"):
        pretrain(recipe, tmp_path / "run", verbose=0)
    assert not (tmp_path / "run").exists()


class Plain(MAE):
    """A method that nothing but a recipe names."""

    def __init__(self, encoder, strength=2.0, **kwargs):
        super().__init__(encoder, **kwargs)
        self.strength = strength


def test_a_further_method_needs_a_recipe_alone(monkeypatch):
    monkeypatch.setattr(keras_capi.methods, "Plain", Plain, raising=False)
    names = [*keras_capi.methods.__all__, "Plain"]
    monkeypatch.setattr(find_classes.methods, "__all__", names)
    recipe = small_recipe("mae_small")
    parts = ("data", "encoder", "decoder", "optimizer", "training")
    recipe = {name: recipe[name] for name in parts}
    recipe |= {"method": "Plain", "strength": 3.0}
    model = make_model(recipe, 10)
    assert isinstance(model, Plain) and model.strength == 3.0


OLD = """\
# Written by keras-capi 0.1 with Keras 3.15.1 on jax.
# The images were given by a program.
data: {image_size: 16, batch_size: 4, scale: [0.6, 1.0], samples_per_image: 1}
backbone:
  patch_size: 4
  num_layers: 1
  predictor_num_layers: 1
  hidden_dim: 16
  num_heads: 2
  num_register_tokens: 4
masking: {mask_ratio: 0.65, prediction_ratio: 0.5}
clustering: {num_clusters: 8}
optimizer: {learning_rate: 0.002}
ema_momentum: 0.98
training: {steps: 2, precision: float32, seed: 0}
student_temperature: 0.12
"""


def test_recipes_from_before_there_were_methods(tmp_path):
    """Those of a file, and of a run that goes on."""
    (tmp_path / "recipe.yaml").write_text(OLD)
    recipe = {**load_recipe(tmp_path / "recipe.yaml"), "images": IMAGES}
    model = pretrain(recipe, tmp_path, verbose=0)
    assert isinstance(model, keras_capi.methods.CAPI)
    # As an older version wrote it.
    (tmp_path / "recipe.yaml").write_text(OLD)
    pretrain(recipe, tmp_path, verbose=0)
    assert (tmp_path / "recipe.yaml").read_text() == OLD
    with pytest.raises(ValueError, match="clustering.num_clusters is 4, was 8"):
        pretrain({**recipe, "clustering": {"num_clusters": 4}}, tmp_path)
