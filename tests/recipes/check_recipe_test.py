import copy
import pathlib

import numpy as np
import pytest

from keras_capi.recipes import list_recipes
from keras_capi.recipes import load_recipe
from keras_capi.recipes import pretrain
from keras_capi.recipes.check_recipe import check_recipe
from keras_capi.recipes.check_recipe import with_defaults


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.steps=0", "`training.steps` must be a positive integer"),
        ("training.steps=-3", "Received: training.steps=-3"),
        ("training.steps=1e3", "training.steps=1000.0"),
        ("training.steps=true", "training.steps=True"),
        ("training.steps=null", "training.steps=None"),
        ("training.epochs=0", "`training.epochs` must be a positive"),
        ("training.epochs=1.5", "training.epochs=1.5"),
        ("training.seed=-1", "`training.seed` must be an integer from 0"),
        ("training.seed=x", "training.seed='x'"),
        ("training.seed=2147483648", "must be an integer from 0 to 2147483647"),
        ("training.precision=half", "`training.precision` must be one of"),
        ("training.precision=16", "training.precision=16"),
        ("ema_momentum=1.5", "`ema_momentum` must be a number in"),
        ("ema_momentum=[0.9, 1.0]", "or three"),
        ("ema_momentum=.nan", "ema_momentum=nan"),
        ("ema_momentum=fast", "ema_momentum=fast"),
        ("images=", "`images` must be a path"),
        ("images=[]", "`images` must be a path"),
        ("clustering.max_num_clusters=0", "`clustering.max_num_clusters`"),
        ("data.image_size=big", "`data.image_size` must be"),
        ("optimizer.gradient_accumulation_steps=0", "accumulation_steps=0"),
        ("data=3", "must have the form section.setting"),
        ("backbone.depth=3", r"known settings.*backbone: \['depth'\]"),
        ("masking.mask_ratio=[1", "masking.mask_ratio=.1"),
        # Names that mean something in YAML.
        ("#data.workers=1", "known settings.*#data"),
        ("1.5=2", "known settings.*1: "),
        ("'data.workers'=1", "known settings.*'data"),
        ("data: {a: b.c=1", "known settings.*data: {a: b"),
        ("masking.class_name=capi_optimizer", "must be a class of encoders"),
    ],
)
def test_settings_are_checked_when_they_are_read(override, message):
    with pytest.raises(ValueError, match=message):
        load_recipe("demo", [override])


@pytest.mark.parametrize("content", [None, 3, "text", [1]])
@pytest.mark.parametrize("section", ["data", "training", "optimizer"])
def test_sections_have_settings(section, content):
    recipe = {**load_recipe("demo"), section: content}
    with pytest.raises(ValueError, match=f"must be settings.*{section}"):
        check_recipe(recipe)


def test_two_numbers_of_clusters():
    recipe = load_recipe("small")
    recipe["clustering"]["num_clusters"] = 8
    with pytest.raises(ValueError, match="either num_clusters or"):
        check_recipe(recipe)
    recipe = load_recipe("small", ["clustering.num_clusters=8"])
    assert "max_num_clusters" not in recipe["clustering"]


@pytest.mark.parametrize(
    ("override", "name"),
    [
        ("data.batch_size=0", "batch_size"),
        ("data.samples_per_image=-1", "samples_per_image"),
        ("data.scale=[0.6, 2.0]", "scale"),
        ("backbone.num_heads=5", "num_heads"),
        ("masking.mask_ratio=1.5", "mask_ratio"),
        ("masking.prediction_ratio=0.01", "prediction_ratio"),
        ("clustering.queue_size=-1", "queue_size"),
        ("clustering.target_temperature=0", "target_temperature"),
        ("optimizer.warmup_steps=9", "warmup_steps"),
        ("student_temperature=0", "student_temperature"),
    ],
)
def test_other_settings_are_checked_before_anything_is_written(
    tmp_path, override, name
):
    images = np.zeros((8, 20, 20, 3), "uint8")
    recipe = load_recipe(
        "demo",
        [
            "data.image_size=16",
            "data.batch_size=4",
            "backbone.hidden_dim=24",
            "backbone.num_layers=1",
            "training.steps=4",
            override,
        ],
    )
    recipe["images"] = images
    with pytest.raises(ValueError, match=name):
        pretrain(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


CAPI_RECIPES = ["base", "demo", "paper_large", "small"]


@pytest.mark.parametrize("name", list_recipes())
def test_defaults(name):
    recipe = {**load_recipe(name), "images": pathlib.Path("photos")}
    before = copy.deepcopy(recipe)
    full = with_defaults(recipe)
    assert recipe == before
    for section, content in recipe.items():
        if isinstance(content, dict):
            assert content.items() <= full[section].items()
    assert full["data"]["normalization"] == "imagenet"
    assert full["optimizer"].get("epsilon", 1e-8) == 1e-8
    for section in full.values():
        if isinstance(section, dict):
            assert not {"kwargs", "self", "total_steps"} & section.keys()
    assert "seed" not in full
    check_recipe(full)
    assert with_defaults(full) == full


@pytest.mark.parametrize("name", CAPI_RECIPES)
def test_defaults_of_capi(name):
    full = with_defaults(load_recipe(name))
    assert full["method"] == "CAPI"
    assert full["data"]["aspect_ratio"] == [3 / 4, 4 / 3]
    assert full["backbone"]["class_name"] == "CAPIBackbone"
    assert full["backbone"]["register_coordinates"] == "edge"
    assert full["masking"]["roll"] is True
    assert full["clustering"]["num_iterations"] == 3
    assert full["optimizer"]["beta_2"] == 0.95
    assert full["student_temperature"] == 0.12
    # The clustering says how many.
    assert "num_clusters" not in full
    assert "seed" not in full["backbone"] and "kwargs" not in full["data"]


@pytest.mark.parametrize(
    ("name", "override", "message"),
    [
        ("mae_small", "method=MEA", "`method` must be.*CAPI.*DINO.*'MEA'"),
        ("mae_small", "method=3", "`method` must be.*method=3"),
        ("mae_small", "encoder=3", "must be settings with values.*encoder: 3"),
        ("mae_small", "encoder.depth=3", r"encoder: \['depth'\]"),
        ("mae_small", "decoder.class_name=X", "`decoder.class_name` must be a"),
        ("mae_small", "decoder.depth=3", r"decoder: \['depth'\]"),
        ("mae_small", "optimizer.rate=3", r"optimizer: \['rate'\]"),
        ("mae_small", "backbone.depth=3", r"backbone: \['backbone'\]"),
        ("mae_small", "masking.max_num_clusters=3", r"\['max_num_clusters'\]"),
        ("mae_small", "ema_momentum=0.9", "section.setting=value"),
        ("dino_small", "views.seed=3", r"views: \['seed'\]"),
        ("dino_small", "ema_momentum=2", "`ema_momentum` must be a number"),
    ],
)
def test_settings_of_any_method_are_checked(name, override, message):
    with pytest.raises(ValueError, match=message):
        load_recipe(name, [override])


def test_a_recipe_needs_the_arguments_without_default():
    recipe = load_recipe("mae_small")
    del recipe["encoder"]
    with pytest.raises(ValueError, match=r"none for \['encoder'\]"):
        check_recipe(recipe)


def test_defaults_are_plain_values():
    recipe = load_recipe("demo")
    recipe["data"]["batch_size"] = np.int64(8)
    recipe["data"]["scale"] = (np.float32(0.5), 1.0)
    full = with_defaults(recipe)
    assert type(full["data"]["batch_size"]) is int
    assert full["data"]["scale"] == [0.5, 1.0]


def test_spaces_around_the_name_of_a_setting():
    for override in ("training.steps = 5", " training.steps=5"):
        assert load_recipe("demo", [override])["training"]["steps"] == 5
    recipe = load_recipe("demo", ["masking.class_name = RandomMasking"])
    assert recipe["masking"]["class_name"] == "RandomMasking"
