"""What is built on encoders asks the contract alone, for all alike."""

import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_vit
from helpers import to_numpy

from keras_capi.encoders import ConvolutionalEncoder
from keras_capi.encoders import ImageGPTEncoder
from keras_capi.optimizers import LayerDecayAdamW
from keras_capi.tasks import ImageClassifier
from keras_capi.tasks import ImageSegmenter

# The steps of these tasks are traced in `fine_tuning_test.py`.
pytestmark = pytest.mark.usefixtures("untraced")

ENCODERS = {
    "capi": make_backbone,
    "vit": make_vit,
    "shared": lambda **arguments: make_vit(
        relative_positions="shared", **arguments
    ),
    "per_block": lambda **arguments: make_vit(
        relative_positions="per_block", class_token=False, **arguments
    ),
}
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
LABELS = np.array([0, 1, 1, 0], "int32")


@pytest.mark.parametrize("name", ENCODERS)
def test_each_weight_has_one_depth(name):
    encoder = ENCODERS[name](num_layers=2)
    depths = encoder.weights_by_depth()
    assert len(depths) == 4
    assert sorted(id(w) for part in depths for w in part) == sorted(
        id(weight) for weight in encoder.weights
    )
    parts = {
        weight.path: depth
        for depth, weights in enumerate(depths)
        for weight in weights
    }
    block = "block_0/mlp_output/kernel"
    expected = {"patch_embedding/kernel": 0}
    if name == "capi":
        expected |= {f"encoder/{block}": 1, f"predictor/{block}": 2}
    else:
        expected |= {block: 1, "positions/table/table": 0}
        expected["final_norm/gamma"] = 3
    if name == "shared":
        expected["positions/bias_0/table"] = 3
    if name == "per_block":
        expected |= {"positions/bias_0/table": 1, "positions/bias_1/table": 2}
    for path, depth in expected.items():
        (found,) = {d for own, d in parts.items() if own.endswith(path)}
        assert found == depth


def test_rates_follow_the_depth():
    """Adam's first step is the rate in every entry, whatever the gradient."""
    model = ImageClassifier(make_vit(num_layers=2), 2)
    vit = model.backbone
    weights = {
        3: vit.patch_embedding.kernel,
        2: vit.blocks[0].mlp_output.bias,
        1: vit.blocks[1].mlp_norm.gamma,
        0: vit.final_norm.gamma,
    }
    before = {k: to_numpy(v) for k, v in weights.items()}
    model.compile(LayerDecayAdamW(0.01, 2, 0.5, weight_decay=0.0), LOSS)
    model.train_on_batch(make_images(), LABELS)
    for distance, weight in weights.items():
        step = np.abs(to_numpy(weight) - before[distance])
        np.testing.assert_allclose(
            np.median(step), 0.01 * 0.5**distance, rtol=1e-3
        )


def test_what_does_not_decay():
    """As for the authors of MAE and BEiT: no token and no position."""
    vit = make_vit(
        num_layers=2,
        num_register_tokens=2,
        positions="learned",
        relative_positions="shared",
    )
    model = ImageClassifier(vit, 2)
    exempt = {id(weight) for weight in model.parameter_groups()["vectors"]}
    decay = {
        weight.path.split("/", 1)[1]
        for weight in vit.weights
        if id(weight) not in exempt
    }
    kernels = ("query_key_value", "output_projection")
    assert decay == {
        "patch_embedding/kernel",
        "positions/bias_0/table",
        *(
            f"block_{index}/{name}/kernel"
            for index in range(2)
            for name in (
                *(f"attention/{kernel}" for kernel in kernels),
                "mlp_hidden",
                "mlp_output",
            )
        ),
    }


@pytest.mark.parametrize(
    "pooling", ["global", "average", "attention", "average_before_norm"]
)
def test_all_that_is_used_trains(pooling, tmp_path):
    """No weight stays behind, and none without a gradient is trained."""
    model = ImageClassifier(make_vit(), 2, pooling)
    model.compile("adam", LOSS)
    before = [to_numpy(weight) for weight in model.weights]
    model.fit(make_images(), LABELS, epochs=2, verbose=0)
    trained = {id(weight) for weight in model.trainable_weights}
    for weight, value in zip(model.weights, before, strict=True):
        moved = (to_numpy(weight) != value).any()
        assert moved == (id(weight) in trained), weight.path
    norm = model.backbone.final_norm.gamma
    assert (id(norm) in trained) == (pooling != "average_before_norm")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    assert len(loaded.trainable_weights) == len(trained)
    np.testing.assert_allclose(
        loaded.predict(make_images(), verbose=0),
        model.predict(make_images(), verbose=0),
        atol=1e-5,
    )


@pytest.mark.parametrize("make", [ImageClassifier, ImageSegmenter])
def test_low_rank_updates(make, tmp_path):
    vit = make_vit()
    model = make(vit, 2)
    vit.enable_lora(2)
    names = {weight.name for weight in model.trainable_weights}
    assert names == {"lora_kernel_a", "lora_kernel_b", "kernel", "bias"}
    before = to_numpy(vit(make_images())["feature_map"])
    labels = LABELS
    if make is ImageSegmenter:
        labels = np.zeros((4, 16, 16), "int32") + LABELS[:, None, None]
    model.compile(keras.optimizers.Adam(0.01), LOSS)
    model.fit(make_images(), labels, epochs=2, verbose=0)
    after = to_numpy(vit(make_images())["feature_map"])
    assert np.abs(after - before).max() > 1e-3
    vit.save_to_preset(tmp_path)
    merged = type(vit).from_preset(tmp_path)
    np.testing.assert_allclose(
        to_numpy(merged(make_images())["feature_map"]), after, atol=1e-4
    )


def test_low_rank_updates_need_transformer_blocks():
    encoder = ConvolutionalEncoder(2, hidden_dim=8)
    encoder.trainable = False
    with pytest.raises(
        ValueError, match="LoRA needs blocks with `projections`"
    ):
        encoder.enable_lora(2)
    assert not encoder.trainable
    assert not encoder.has_lora


def test_freezing(tmp_path):
    model = ImageClassifier(make_vit(), 2, freeze_backbone=True)
    assert len(model.trainable_weights) == 2
    model.freeze_backbone = False
    model.backbone.blocks[0].mlp_hidden.trainable = False
    model.compile("sgd", LOSS)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for one in (model, loaded):
        assert not one.freeze_backbone
        assert not one.backbone.blocks[0].mlp_hidden.trainable
        assert one.backbone.blocks[0].mlp_output.trainable


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
@pytest.mark.usefixtures("few_to_collect")
def test_quantised(tmp_path):
    vit = make_vit()
    expected = to_numpy(vit(make_images())["feature_map"])
    vit.quantize("int8")
    quantized = to_numpy(vit(make_images())["feature_map"])
    error = np.linalg.norm(quantized - expected)
    assert 0 < error < 0.05 * np.linalg.norm(expected)
    vit.save(tmp_path / "vit.keras")
    loaded = keras.saving.load_model(tmp_path / "vit.keras")
    assert loaded.blocks[0].mlp_hidden.quantization_mode == "int8"
    np.testing.assert_allclose(
        to_numpy(loaded(make_images())["feature_map"]), quantized, atol=1e-5
    )


def test_segments_images_of_any_size():
    segmenter = ImageSegmenter(make_vit(pad=True), 3)
    images = make_images(2, 14, 17)
    logits = to_numpy(segmenter(images))
    assert logits.shape == (2, 14, 17, 3)
    padded = np.pad(images, [(0, 0), (0, 2), (0, 3), (0, 0)])
    np.testing.assert_allclose(
        logits, to_numpy(segmenter(padded))[:, :14, :17], atol=1e-6
    )


def test_segments_images_that_the_encoder_resizes():
    encoder = ImageGPTEncoder(1, 16, 2, image_size=4, num_colors=8)
    segmenter = ImageSegmenter(encoder, 3)
    images = make_images(2, 16, 24)
    logits = to_numpy(segmenter(images))
    assert logits.shape == segmenter.compute_output_spec(images).shape
    segmenter.compile(keras.optimizers.SGD(0.01), LOSS)
    segmenter.fit(images, np.zeros((2, 16, 24), "int32"), verbose=0)


@pytest.mark.parametrize(
    "pooling", ["global", "average", "average_before_norm", None]
)
def test_blocks_behind_the_features_do_not_decay(pooling):
    """Image GPT has its features in the middle of its blocks."""
    encoder = ImageGPTEncoder(
        3, 16, 2, image_size=4, num_colors=8, feature_layer=1
    )
    if pooling is None:
        model, labels = ImageSegmenter(encoder, 2), np.zeros((4, 16, 16), int)
    else:
        model, labels = ImageClassifier(encoder, 2, pooling), LABELS
    model.compile(keras.optimizers.AdamW(0.1, weight_decay=0.5), LOSS)
    model.freeze_backbone = True
    model.freeze_backbone = False
    model.compile(keras.optimizers.AdamW(0.1, weight_decay=0.5), LOSS)
    before = [to_numpy(weight) for weight in model.weights]
    model.fit(make_images(), labels, epochs=2, verbose=0)
    trained = {id(weight) for weight in model.trainable_weights}
    assert not trained & {id(weight) for weight in encoder.blocks[2].weights}
    for weight, value in zip(model.weights, before, strict=True):
        # Images may lack some of the colours.
        if weight is not encoder.color_embedding.embeddings:
            moved = (to_numpy(weight) != value).any()
            assert moved == (id(weight) in trained), weight.path
