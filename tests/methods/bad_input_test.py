"""Bad input is refused before any training, with its name and the rule."""

import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_indices
from helpers import make_model
from helpers import make_vit
from methods.cases import CASES

import keras_capi
from keras_capi import backend


@pytest.mark.parametrize(
    "images, message",
    [
        (make_images(4, 18, 16), r"height .* divisible by the patch size"),
        (make_images(4, 16, 18), r"width .* divisible by the patch size"),
        (make_images(4, channels=1), "must have 3 channels"),
        (make_images()[0], "must have rank 4"),
        (make_images().astype("uint8"), "must be floating point"),
    ],
    ids=["height", "width", "channels", "rank", "integers"],
)
def test_bad_images(images, message):
    model = make_model()
    for method in (
        model.fit,
        model.evaluate,
        model.train_on_batch,
        model.test_on_batch,
        model.student,
    ):
        with pytest.raises(ValueError, match=message):
            method(images)
    for validation_data in (images, (images,)):
        with pytest.raises(ValueError, match=message):
            model.fit(make_images(), validation_data=validation_data)
    assert model.optimizer.iterations == 0


@pytest.mark.parametrize("make", [make_model, make_backbone, make_vit])
def test_bad_images_to_predict_after_good_ones(make):
    """Of other sizes, after which graphs of TensorFlow know none."""
    model = make()
    for size in (16, 20, 24):
        model.predict(make_images(2, size, size), verbose=0)
    with pytest.raises(ValueError, match="divisible by the patch size"):
        model.predict(make_images(2, 18, 18), verbose=0)


def test_arguments_by_position():
    """They are looked at as those by name are."""
    model, images, weights = make_model(), make_images(), np.ones(4)
    no_weights = "leave out `sample_weight`"
    with pytest.raises(ValueError, match=no_weights):
        model.evaluate(images, None, 4, 0, weights)
    with pytest.raises(ValueError, match=no_weights):
        model.train_on_batch(images, None, weights)
    with pytest.raises(ValueError, match="leave out `class_weight`"):
        model.train_on_batch(images, None, None, {0: 1.0})
    rest = (None, 4, 1, 0, None, 0.5, None, True, None)
    with pytest.raises(ValueError, match=no_weights):
        model.fit(images, *rest, weights)
    assert "val_loss" in model.fit(images, *rest).history
    with pytest.raises(TypeError, match="`fit` takes at most"):
        model.fit(images, *rest, *rest)


def test_labels():
    """Refused where they are passed, ignored where a data set has them."""
    model, images, labels = make_model(), make_images(), np.arange(4)
    methods = model.fit, model.evaluate, model.train_on_batch
    for method in (*methods, model.test_on_batch):
        for arguments in ({"x": images, "y": labels}, {"x": images, "y": [0]}):
            with pytest.raises(ValueError, match="pass the images alone"):
                method(**arguments)
        with pytest.raises(ValueError, match="Received: y of type ndarray"):
            method(images, labels)
    with pytest.raises(ValueError, match="pass the images alone"):
        model.fit(images, validation_data=(images, labels))
    assert model.optimizer.iterations == 0

    class Pairs(keras.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return images, labels

    history = model.fit(Pairs(), validation_data=Pairs(), verbose=0)
    assert {"loss", "val_loss"} <= set(history.history)


@pytest.mark.parametrize("name", CASES)
def test_dictionaries_without_images(name):
    """Such as of a misspelt name, or of what else a method takes."""
    model = CASES[name].compiled()
    for inputs in ({"image": make_images()}, {"labels": np.zeros((4, 1))}):
        with pytest.raises(ValueError, match="Inputs must have 'images'"):
            model.fit(inputs, verbose=0)
        with pytest.raises(ValueError, match="Inputs must have 'images'"):
            model(inputs)


@pytest.mark.parametrize("name", CASES)
def test_labels_in_dictionaries(name):
    """Left out, or refused by a message that says what to do."""
    model = CASES[name].compiled()
    inputs = {"images": make_images(), "label": np.zeros((4, 1))}
    try:
        model.check_inputs(inputs)
    except ValueError as error:
        assert "such as labels" in str(error)
        assert "dataset.map(lambda x: x[" in str(error)
        assert "['images', 'label']" in str(error)


class Strided(keras_capi.encoders.ViT):
    """Has a feature for every other patch."""

    def grid_size(self, image_shape):
        return tuple(n // 2 for n in super().grid_size(image_shape))


@pytest.mark.parametrize(
    "make",
    [
        keras_capi.methods.AIM,
        keras_capi.methods.Colorization,
        keras_capi.methods.ContextEncoder,
        keras_capi.methods.DenoisingAutoencoder,
        keras_capi.methods.MAE,
        keras_capi.methods.SimMIM,
        lambda encoder: keras_capi.methods.BEiT(
            encoder, CASES["beit"].make().tokenizer
        ),
    ],
)
def test_encoders_of_other_patches(make):
    """Their features are not of the patches whose pixels are predicted."""
    resizing = keras_capi.encoders.ImageGPTEncoder(
        1, 8, 2, image_size=(2, 3), num_colors=8
    )
    strided = Strided(4, 1, 8, 2, image_shape=(16, 16, 3))
    for encoder in (resizing, strided):
        with pytest.raises(ValueError, match="a feature for each patch"):
            make(encoder)


def test_bad_images_in_a_data_set():
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return (make_images(4, 18, 16),)

    with pytest.raises(ValueError, match="divisible by the patch size"):
        make_model().fit(Batches(), shuffle=False, verbose=0)


def with_indices(**changes):
    return {"images": make_images(), **make_indices(), **changes}


@pytest.mark.parametrize(
    "inputs, message",
    [
        (
            with_indices(predict_indices=np.full((4, 2), 16)),
            r"`predict_indices` must be from 0 to 15",
        ),
        (
            with_indices(visible_indices=np.full((4, 2), -1)),
            r"`visible_indices` must be from 0 to 15",
        ),
        (
            with_indices(predict_indices=np.full((4, 1), 2**32 + 8)),
            "from 4294967304 to 4294967304",
        ),
        (
            with_indices(predict_indices=np.full((4, 1), 3)),
            "once at most.*repeated patches in 4 of 4",
        ),
        (
            with_indices(visible_indices=np.full((4, 2), 3)),
            "once at most.*repeated patches in 4 of 4",
        ),
        (
            with_indices(visible_indices=make_indices(3)["visible_indices"]),
            "must have a row for each image",
        ),
        (
            with_indices(visible_indices=[[0, 1], [2], [3], [4]]),
            "same count of at least 1",
        ),
        (
            with_indices(predict_indices=np.zeros((4, 0), "int32")),
            "same count of at least 1",
        ),
        (
            with_indices(predict_indices=np.zeros((4, 2), "float32")),
            "`predict_indices` must be integers",
        ),
        (
            {"images": make_images(), "visible": np.zeros((4, 2), "int32")},
            "must have the keys",
        ),
    ],
    ids=[
        "high",
        "low",
        "wrapped",
        "common",
        "twice",
        "rows",
        "ragged",
        "none",
        "dtype",
        "keys",
    ],
)
def test_bad_masks(inputs, message):
    model = make_model()
    for method in (model.fit, model.train_on_batch, model.evaluate):
        with pytest.raises(ValueError, match=message):
            method(inputs)


@pytest.mark.skipif(
    keras.backend.backend() == "torch" and backend.has_accelerator(),
    reason="an index out of bounds ends the process on CUDA",
)
def test_bad_masks_in_a_data_set_end_the_training():
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 50

        def __getitem__(self, index):
            # One further than the last patch: the next image's first one, or
            # the last patch, if nobody checked.
            last = 16 if index == 1 else 15
            return (with_indices(predict_indices=np.full((4, 1), last)),)

    model = make_model()
    # Some backends refuse the index themselves.
    message = r"at step [2-9]|index|out of bounds|\["
    with pytest.raises(Exception, match=message):
        model.fit(Batches(), shuffle=False, verbose=0)
    # Where steps are dispatched ahead, some more may be under way.
    assert int(model.optimizer.iterations) < 50


def test_what_is_visible_is_not_predicted_in_a_data_set():
    class Batches(keras.utils.PyDataset):
        indices = make_indices()

        def __len__(self):
            return 1

        def __getitem__(self, index):
            return (with_indices(**self.indices),)

    batches, model = Batches(), make_model()
    logs = model.evaluate(batches, verbose=0, return_dict=True)
    assert np.isfinite(logs["capi_loss"])
    batches.indices["predict_indices"][:, 0] = 3
    logs = model.evaluate(batches, verbose=0, return_dict=True)
    assert np.isnan(logs["capi_loss"])


def test_a_loss_that_is_not_finite_ends_the_training():
    images = make_images(12)
    images[5] = np.nan
    model = make_model()
    with pytest.raises(RuntimeError, match="not finite at step 2.*indices"):
        model.fit(images, batch_size=4, shuffle=False, epochs=3, verbose=0)
    with pytest.raises(RuntimeError, match="not finite at step"):
        make_model().train_on_batch(images[4:8])


@pytest.mark.parametrize(
    "name, value",
    [
        ("image_gpt", np.nan),
        ("image_gpt", -np.inf),
        ("colorization", np.inf),
        ("rotation", np.nan),
    ],
)
def test_images_that_are_not_finite_give_no_loss(name, value):
    """Even if they become numbers of colours, or are left out."""
    model = CASES[name].make()
    model.compile("sgd")
    images = make_images(4, 16, 16)
    assert np.isfinite(model.test_on_batch(images)[0])
    images[3, 0, 0, 1] = value
    assert np.isnan(model.test_on_batch(images)[0])


def test_images_that_are_not_finite_end_a_training_on_colors():
    model = CASES["image_gpt"].compiled()
    images = make_images(12)
    images[5, 3, 3] = np.nan
    with pytest.raises(RuntimeError, match="not finite at step 2"):
        model.fit(images, batch_size=4, shuffle=False, verbose=0)


def test_no_patch_is_left_to_predict():
    model = make_model(masking=keras_capi.layers.InverseBlockMasking())
    with pytest.raises(ValueError, match="No patch is left to predict"):
        model.fit(make_images(), verbose=0)


def test_uncompiled_model():
    model = keras_capi.models.CAPI(make_backbone(), num_clusters=8)
    with pytest.raises(ValueError, match=r"compile\(\)"):
        model.fit(make_images())


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_register_tokens": 15}, "num_registers=15"),
        ({"register_coordinates": "middle"}, "'middle'"),
        ({"hidden_dim": 18}, "head size"),
        ({"num_heads": 3}, "num_heads=3"),
        ({"patch_size": 0}, "patch_size=0"),
        ({"num_layers": 0}, "num_layers=0"),
        ({"drop_path_rate": 1.0}, "rate=1.0"),
        ({"drop_path_method": "slow"}, "method=.slow."),
        ({"image_shape": (18, 16, 3)}, r"image_shape=\(18, 16, 3\)"),
        ({"image_shape": (16, 16)}, r"image_shape=\(16, 16\)"),
    ],
)
def test_bad_backbone(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_backbone(**arguments)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_clusters": 0}, "num_clusters=0"),
        ({"student_temperature": 0.0}, "student_temperature=0.0"),
        ({"ema_momentum": 1.5}, "ema_momentum=1.5"),
        (
            {
                "num_clusters": 5,
                "clustering": keras_capi.layers.OnlineClustering(6),
            },
            "num_clusters=5",
        ),
        ({"compile_arguments": {"loss": "mse"}}, "loss=mse"),
    ],
)
def test_bad_model(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_model(**arguments)
