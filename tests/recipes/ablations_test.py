"""Each of CAPI's ablations is one setting of a recipe."""

import numpy as np
import pytest

from keras_capi.recipes import load_recipe
from keras_capi.recipes import make_model
from keras_capi.recipes import pretrain

SMALL = [
    "data.image_size=16",
    "data.batch_size=4",
    "backbone.patch_size=4",
    "backbone.num_layers=2",
    "backbone.predictor_num_layers=1",
    "backbone.hidden_dim=16",
    "backbone.num_heads=2",
    "training.steps=2",
]
# The setting, and what tells that it came true.
SETTINGS = {
    "backbone.predictor=fused": lambda x: x.student.predictor.blocks == [],
    "backbone.predictor=self_attention": lambda x: hasattr(
        x.student.predictor, "embedding"
    ),
    "backbone.positions=learned": lambda x: (
        x.teacher.encoder.position_grid == (4, 4)
    ),
    "backbone.num_register_tokens=0": lambda x: not x.encoder.num_prefix_tokens,
    "masking.class_name=RandomMasking": lambda x: (
        type(x.masking).__name__ == "RandomMasking"
    ),
    "masking.class_name=BlockMasking": lambda x: (
        type(x.masking).__name__ == "BlockMasking"
    ),
    "masking.roll=false": lambda x: not x.masking.roll,
    "clustering.class_name=LatentTargets": lambda x: x.targets.beta == 1.0,
    "clustering.class_name=DistilledTargets": lambda x: (
        x.prototype_head.prototypes.num_prototypes == 8
    ),
    "clustering.positionwise=false": lambda x: not x.clustering.positionwise,
    "clustering.num_clusters=5": lambda x: x.clustering.num_clusters == 5,
    "projection.class_name=ProjectionHead": lambda x: (
        x.teacher_projection.bottleneck_dim == 256
    ),
    "target_layers=[1]": lambda x: x.target_layers == (1,),
}


@pytest.mark.parametrize("setting", list(SETTINGS))
def test_one_setting(setting):
    recipe = load_recipe("small", [*SMALL, setting])
    if "max_num_clusters" in recipe["clustering"]:
        recipe["clustering"]["max_num_clusters"] = 8
    assert SETTINGS[setting](make_model(recipe, 10))


def test_settings_beside_a_class_are_for_it():
    recipe = load_recipe(
        "small",
        ["clustering.hidden_dim=64", "clustering.class_name=DistilledTargets"],
    )
    # Those that both classes have stay, and `queue_size` goes.
    assert recipe["clustering"] == {
        "max_num_clusters": 128,
        "class_name": "DistilledTargets",
        "hidden_dim": 64,
    }
    with pytest.raises(ValueError, match=r"clustering: \['queue_size'\]"):
        load_recipe(
            "small",
            [
                "clustering.queue_size=8",
                "clustering.class_name=DistilledTargets",
            ],
        )


def test_a_run_without_clusters(tmp_path):
    recipe = load_recipe(
        "small", [*SMALL, "clustering.class_name=LatentTargets"]
    )
    images = np.random.default_rng(0).integers(0, 256, (9, 20, 30, 3), "uint8")
    recipe["images"] = images
    model = pretrain(recipe, tmp_path / "run", verbose=0)
    assert int(model.optimizer.iterations) == 2
    written = load_recipe(tmp_path / "run" / "recipe.yaml")
    assert written["clustering"] == {"class_name": "LatentTargets", "beta": 1.0}
    # Finished: the same command trains no further.
    again = pretrain(recipe, tmp_path / "run", verbose=0)
    assert int(again.optimizer.iterations) == 2
