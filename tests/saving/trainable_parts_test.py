"""What trains does so after saving, freezing and unfreezing too."""

import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_model
from helpers import to_numpy

import keras_capi
from keras_capi.models import CAPIBackbone
from keras_capi.models import CAPIClassifier
from keras_capi.models import CAPISegmenter
from keras_capi.models import FeatureExtractor

pytestmark = pytest.mark.usefixtures("untraced")


def make_deep_backbone(**arguments):
    return make_backbone(num_layers=2, predictor_num_layers=2, **arguments)


def flags(model):
    """Which of a model's weights train, in order."""
    trained = {id(weight) for weight in model.trainable_weights}
    return [id(weight) in trained for weight in model.weights]


def reload(model, folder):
    model.save(folder / "model.keras")
    return keras.saving.load_model(folder / "model.keras")


def freeze_parts(backbone):
    """Freezes a block, a layer in one, and a single weight."""
    backbone.encoder.blocks[0].trainable = False
    backbone.encoder.blocks[1].mlp_hidden.trainable = False
    backbone.encoder.patch_embedding.bias.trainable = False


def make_functional(backbone):
    images = keras.Input((16, 16, 3))
    return keras.Model(images, backbone(images)["global"])


MODELS = {
    "backbone": lambda backbone: backbone,
    "classifier": lambda backbone: CAPIClassifier(backbone, 2, "attention"),
    "probe": lambda backbone: CAPIClassifier(backbone, 2, "global", True),
    "segmenter": lambda backbone: CAPISegmenter(backbone, 2),
    "extractor": FeatureExtractor,
    "functional": make_functional,
    "CAPI": make_model,
}


@pytest.mark.parametrize("name", MODELS)
def test_parts_frozen_one_by_one(name, tmp_path):
    backbone = make_deep_backbone()
    model = MODELS[name](backbone)
    all_parts = flags(model)
    freeze_parts(backbone)
    if hasattr(model, "classifier"):
        model.classifier.trainable = False
    if name == "CAPI":
        model.compile(keras_capi.optimizers.capi_optimizer(1e-3))
    expected = flags(model)
    assert sum(expected) < sum(all_parts)
    for copy in (
        reload(model, tmp_path),
        type(model).from_config(model.get_config()),
    ):
        assert flags(copy) == expected
    # What was frozen can be unfrozen, on TensorFlow after a change only.
    copy.trainable = False
    copy.trainable = True
    assert sum(flags(copy)) > sum(expected)


@pytest.mark.parametrize("name", ["encoder", "predictor"])
def test_half_of_a_student_frozen(name, tmp_path):
    model = make_model(make_deep_backbone())
    getattr(model.student, name).trainable = False
    model.compile(keras_capi.optimizers.capi_optimizer(1e-3))
    loaded = reload(model, tmp_path)
    assert flags(loaded) == flags(model)
    before = [to_numpy(w) for w in getattr(loaded.student, name).weights]
    loaded.fit(make_images(), verbose=0)
    for weight, value in zip(
        getattr(loaded.student, name).weights, before, strict=True
    ):
        np.testing.assert_array_equal(to_numpy(weight), value)


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_rotary_frequencies_of_a_student(rate, tmp_path):
    optimizer = keras_capi.optimizers.capi_optimizer(
        1e-3, rotary_learning_rate_multiplier=rate
    )
    model = make_model(compile_arguments={"optimizer": optimizer})
    frequencies = model.student.encoder.blocks[0].attention.rotary_frequencies
    assert frequencies.trainable == (rate > 0)
    for part in (model.student, model):
        assert flags(reload(part, tmp_path)) == flags(part)
    # Neither freezing and unfreezing nor another teacher changes it.
    model.student.trainable = False
    assert not frequencies.trainable
    model.student.trainable = True
    assert frequencies.trainable == (rate > 0)


@pytest.mark.parametrize("kind", ["global", "average", "segmenter"])
def test_unfrozen_by_the_backbone(kind, tmp_path):
    """As is usual in Keras, and not by `freeze_backbone`."""
    backbone = make_deep_backbone(drop_path_rate=0.5)
    if kind == "segmenter":
        make = CAPISegmenter
        targets = np.zeros((4, 16, 16), "int32")
    else:
        make = CAPIClassifier
        targets = np.zeros(4, "int32")
    options = {"pooling": kind} if make is CAPIClassifier else {}
    expected = flags(make(make_deep_backbone(drop_path_rate=0.5), 2, **options))
    model = make(backbone, 2, freeze_backbone=True, **options)
    assert model.freeze_backbone and sum(flags(model)) == 2
    images = make_images()
    first, second = (to_numpy(model(images, training=True)) for _ in range(2))
    np.testing.assert_array_equal(first, second)

    backbone.trainable = True
    assert not model.freeze_backbone
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss)
    model.fit(images, targets, verbose=0)
    loaded = reload(model, tmp_path)
    for unfrozen in (model, loaded):
        assert flags(unfrozen) == expected
        assert not unfrozen.freeze_backbone
        first, second = (
            to_numpy(unfrozen(images, training=True)) for _ in range(2)
        )
        assert (first != second).any()
        unfrozen.fit(images, targets, verbose=0)
    model.freeze_backbone = True
    assert not backbone.trainable
    assert make.from_config(model.get_config()).freeze_backbone


def test_a_head_leaves_frozen_blocks_frozen():
    backbone = make_deep_backbone()
    backbone.encoder.blocks[0].trainable = False
    # The second one needs the predictor, for which the first had no use.
    for pooling in ("average", "global"):
        model = CAPIClassifier(backbone, 2, pooling)
        assert not backbone.encoder.blocks[0].trainable_weights
        assert backbone.encoder.blocks[1].trainable_weights
    assert backbone.predictor.blocks[0].trainable_weights
    assert sum(flags(model)) > 2


def test_presets_train(tmp_path):
    backbone = make_deep_backbone(lora_rank=2)
    backbone.encoder.trainable = False
    backbone.save_to_preset(tmp_path)
    loaded = CAPIBackbone.from_preset(tmp_path)
    assert flags(loaded) == flags(make_deep_backbone())


def names(model):
    return {weight.name for weight in model.trainable_weights}


LOW_RANK = {"lora_kernel_a", "lora_kernel_b"}


def train(model, images):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss)
    labels = np.arange(len(images), dtype="int32") % 2
    model.fit(images, labels, epochs=2, verbose=0)


def assert_low_rank_trains(model, images):
    """Both kernels of each projection move; the frozen ones do not."""
    assert names(model) == LOW_RANK | {"kernel", "bias"}
    before = [to_numpy(weight) for weight in model.weights]
    train(model, images)
    for weight, value in zip(model.weights, before, strict=True):
        moved = (to_numpy(weight) != value).any()
        assert moved == weight.trainable, weight.path


@pytest.mark.parametrize("way", ["load_weights", "keras", "preset", "ordinary"])
def test_low_rank_kernels_learn_after_loading(way, tmp_path):
    images = make_images()
    model = CAPIClassifier(make_deep_backbone(), 2, "average")
    if way != "ordinary":
        model.backbone.enable_lora(2)
    train(model, images)
    expected = to_numpy(model(images))
    if way == "keras":
        loaded = reload(model, tmp_path)
        assert loaded.backbone.lora_rank == 2
    elif way == "preset":
        model.backbone.save_to_preset(tmp_path)
        backbone = CAPIBackbone.from_preset(tmp_path, lora_rank=2)
        loaded = CAPIClassifier(backbone, 2, "average")
        loaded.classifier.set_weights(model.classifier.get_weights())
    else:
        loaded = model
        model.save_weights(tmp_path / "model.weights.h5")
        if way == "ordinary":
            loaded = CAPIClassifier(make_deep_backbone(), 2, "average")
            loaded.backbone.enable_lora(2)
        loaded.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(to_numpy(loaded(images)), expected, atol=1e-5)
    assert_low_rank_trains(loaded, images)


def test_lora_survives_freezing():
    model = CAPIClassifier(make_deep_backbone(), 2, "average")
    model.backbone.enable_lora(2)
    expected = flags(model)
    model.freeze_backbone = True
    assert names(model) == {"kernel", "bias"}
    model.freeze_backbone = False
    assert flags(model) == expected
    model.trainable = False
    model.trainable = True
    model.compile("adam", "mse")
    assert flags(model) == expected


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
@pytest.mark.usefixtures("few_to_collect")
@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_lora_on_a_quantised_backbone(mode, tmp_path):
    images = make_images()
    backbone = make_backbone()
    backbone.quantize(mode)
    backbone.enable_lora(2)
    projection = backbone.encoder.blocks[0].mlp_hidden
    projection.lora_kernel_b.assign(projection.lora_kernel_b.value + 0.1)
    expected = to_numpy(backbone(images)["global"])
    loaded = reload(backbone, tmp_path)
    backbone.save_weights(tmp_path / "backbone.weights.h5")
    backbone.load_weights(tmp_path / "backbone.weights.h5")
    for copy in (loaded, backbone):
        assert flags(copy) == flags(backbone)
        projection = copy.encoder.blocks[0].mlp_hidden
        assert projection.quantization_mode == mode
        assert to_numpy(projection.lora_kernel_a).any()
        assert not to_numpy(projection.lora_kernel_b).any()
        error = np.linalg.norm(to_numpy(copy(images)["global"]) - expected)
        assert error < 0.1 * np.linalg.norm(expected)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
@pytest.mark.usefixtures("few_to_collect")
def test_low_rank_kernels_refuse_other_files(tmp_path):
    quantized = make_backbone()
    quantized.quantize("int8")
    quantized.save_weights(tmp_path / "backbone.weights.h5")
    backbone = make_backbone(lora_rank=2)
    with pytest.raises(ValueError, match="must get 1 variables from a file"):
        backbone.load_weights(tmp_path / "backbone.weights.h5")


def test_lora_is_not_for_pretraining():
    with pytest.raises(ValueError, match="must train as a whole.*lora_rank=2"):
        make_model(make_backbone(lora_rank=2))
    model = make_model()
    model.student.enable_lora(2)
    model.compile("sgd")
    with pytest.raises(
        ValueError, match="must keep their weights.*enable_lora"
    ):
        model.train_on_batch(make_images())
    with pytest.raises(ValueError, match="`lora_rank` must be a positive"):
        make_backbone(lora_rank=0)
