import keras
import numpy as np
import pytest
from backend_helpers import on_one_backend
from helpers import make_images
from helpers import make_vit
from helpers import to_numpy

import keras_capi
from keras_capi.layers import BlockwiseMasking
from keras_capi.methods import BEiT

IMAGES = make_images(4)
MASK = np.random.default_rng(0).random((4, 16)) < 0.6
TOKEN_IDS = np.random.default_rng(1).integers(0, 8, (4, 16), "int32")
INPUTS = {"images": IMAGES, "mask": MASK, "token_ids": TOKEN_IDS}
once = on_one_backend(
    "What JAX would compile for long, and is the same on each backend."
)


def make_tokenizer(**arguments):
    return keras_capi.tokenizers.DALLETokenizer(
        **{"vocabulary_size": 8, "hidden_dim": 4, "num_blocks": 1, **arguments}
    )


def make_beit(encoder=None, **arguments):
    encoder = encoder or make_vit(relative_positions="shared")
    return BEiT(encoder, make_tokenizer(), **{"seed": 3, **arguments})


def losses_of(model, **changes):
    losses = model.compute_losses({**INPUTS, **changes}, False)
    return {name: float(to_numpy(value)) for name, value in losses.items()}


@once
def test_published_parts():
    model = make_beit()
    assert model.masking.mask_ratio == 75 / 196
    mask = to_numpy(model.prepare({"images": IMAGES}, True)["mask"])
    assert mask.shape == (4, 16)
    assert mask.sum(axis=1).max() <= 16 * 75 / 196
    head = make_beit(make_vit(hidden_dim=512)).head
    assert head.units == 8
    # A normal distribution of 0.02, cut off at one deviation.
    assert to_numpy(head.kernel).std() == pytest.approx(0.0108, rel=0.05)


@once
def test_loss_is_the_mean_over_hidden_patches_of_the_batch():
    model = make_beit()
    # So that scores differ.
    model.head.kernel.assign(8 * to_numpy(model.head.kernel))
    logits = to_numpy(model.predict_logits(IMAGES, MASK)).astype("float64")
    labels = TOKEN_IDS[MASK]
    hidden = logits[MASK]
    scores = hidden[np.arange(len(hidden)), labels]
    losses = losses_of(model)
    expected = (np.log(np.exp(hidden).sum(axis=-1)) - scores).mean()
    assert losses["token_loss"] == pytest.approx(expected, rel=1e-5)
    accuracy = (hidden.argmax(axis=-1) == labels).mean()
    assert losses["token_accuracy"] == pytest.approx(accuracy, rel=1e-5)
    # What visible patches are called does not count.
    other = np.where(MASK, TOKEN_IDS, 7 - TOKEN_IDS)
    assert losses_of(model, token_ids=other) == losses
    nothing = losses_of(model, mask=np.zeros_like(MASK))
    assert nothing["token_loss"] == 0.0


def test_words_of_visible_patches_are_not_scored():
    model = make_beit(masking=BlockwiseMasking(mask_ratio=[(0.2, 0.5)]))
    prepared = model.prepare({"images": IMAGES}, True)
    indices = to_numpy(prepared["hidden_indices"])
    assert indices.shape == (4, 8)
    losses = model.compute_losses(prepared, False)
    own = {name: to_numpy(prepared[name]) for name in INPUTS}
    # Some hide less: the other indices, of visible patches, do not count.
    assert own["mask"].sum() < indices.size
    expected = model.compute_losses(own, False)
    for name, value in expected.items():
        assert float(to_numpy(losses[name])) == pytest.approx(
            float(to_numpy(value)), rel=1e-5
        )


def test_hidden_patches_are_not_seen():
    model = make_beit()
    logits = to_numpy(model.predict_logits(IMAGES, MASK))
    patches = to_numpy(keras_capi.ops.extract_patches(IMAGES, 4))
    images = np.where(MASK[..., None], 7.0, patches).reshape(4, 4, 4, 4, 4, 3)
    images = images.swapaxes(2, 3).reshape(IMAGES.shape)
    changed = to_numpy(model.predict_logits(images, MASK))
    np.testing.assert_allclose(changed, logits, atol=1e-5)


def test_words_are_the_tokenizers():
    model = make_beit()
    prepared = model.prepare({"images": IMAGES}, True)
    words = to_numpy(model.tokenizer.tokenize(IMAGES, (4, 4)))
    np.testing.assert_array_equal(to_numpy(prepared["token_ids"]), words)
    assert words.shape == (4, 16)


@once
@pytest.mark.parametrize(
    "given", [("mask",), ("token_ids",), ("mask", "token_ids")]
)
def test_what_is_given_passes_through(given):
    model = make_beit()
    inputs = {name: INPUTS[name] for name in ("images", *given)}
    prepared = model.prepare(inputs, True)
    drawn = set() if "mask" in given else {"hidden_indices"}
    assert set(prepared) == set(INPUTS) | drawn
    for name in given:
        np.testing.assert_array_equal(to_numpy(prepared[name]), INPUTS[name])
    model.compile("sgd")
    assert np.isfinite(model.train_on_batch(inputs)[0])


@pytest.mark.parametrize("trainable", [True, False])
def test_tokenizer_is_frozen(trainable):
    tokenizer = make_tokenizer(trainable=trainable)
    model = BEiT(make_vit(), tokenizer)
    assert not any(weight.trainable for weight in tokenizer.weights)
    model.compile(keras.optimizers.SGD(1.0))
    before = [to_numpy(weight) for weight in tokenizer.weights]
    model.train_on_batch(INPUTS)
    for weight, old in zip(tokenizer.weights, before, strict=True):
        np.testing.assert_array_equal(to_numpy(weight), old)


def test_tokenizer_stays_frozen_if_the_model_is_thawed():
    """On JAX it would decay: Keras has gradients of 0 there."""
    model = make_beit()
    model.trainable = False
    model.trainable = True
    model.compile(keras_capi.optimizers.AdamW(0.1, weight_decay=0.5))
    assert model.encoder.trainable_weights
    assert not model.tokenizer.trainable_weights
    before = [to_numpy(weight) for weight in model.tokenizer.weights]
    model.train_on_batch(INPUTS)
    for weight, old in zip(model.tokenizer.weights, before, strict=True):
        np.testing.assert_array_equal(to_numpy(weight), old)


@once
def test_what_does_not_decay():
    model = make_beit()
    undecayed = {id(v) for v in model.parameter_groups()["undecayed"]}
    decayed = {
        "/".join(variable.path.split("/")[-2:])
        for variable in model.trainable_variables
        if id(variable) not in undecayed
    }
    assert {"mask_token/token", "bias_0/table", "head/kernel"} <= decayed
    assert all(
        name.endswith(("kernel", "mask_token/token", "bias_0/table"))
        for name in decayed
    )


@once
def test_published_optimizer():
    optimizer = make_beit().published_optimizer(800, batch_size=2048)
    rate = optimizer.get_config()["learning_rate"]["config"]
    assert (rate["base_value"], rate["start_value"]) == (1.5e-3, 0.0)
    assert (rate["warmup_steps"], rate["final_value"]) == (10, 1e-5)
    config = optimizer.get_config()
    assert (config["clip_norm"], config["weight_decay"]) == (3.0, 0.05)


@once
def test_bad_arguments():
    with pytest.raises(ValueError, match="`tokenizer` must be a"):
        BEiT(make_vit(), make_vit())
    encoder = make_vit(image_shape=(16, 16, 1))
    with pytest.raises(ValueError, match="as many channels as `encoder`"):
        BEiT(encoder, make_tokenizer())


@once
@pytest.mark.parametrize(
    "changes, message",
    [
        ({"mask": MASK[:3]}, "a row for each image"),
        ({"token_ids": TOKEN_IDS[:, :4]}, r"must be .* shape \(4, 16\)"),
        ({"token_ids": TOKEN_IDS + 0.5}, "must be integers"),
        ({"token_ids": TOKEN_IDS + 1}, "from 0 to 7"),
        ({"words": TOKEN_IDS}, "must have the keys"),
    ],
)
def test_bad_inputs(changes, message):
    model = make_beit()
    model.compile("sgd")
    with pytest.raises(ValueError, match=message):
        model.fit({**INPUTS, **changes}, verbose=0)
