"""Checkpoints of image GPT, as TensorFlow 1 writes them."""

import numpy as np
import pytest
from helpers import method_arrays
from helpers import to_numpy

from keras_capi.convert import load_image_gpt_checkpoint
from keras_capi.methods import ImageGPT

PREFIX = "weights/"
PALETTE = np.linspace(-1, 1, 24).reshape(8, 3).astype("float32")
# The arrays are of a row of words.
ROW = {"image_size": (1, 12)}


def weights():
    return {
        name.removeprefix(PREFIX): value
        for name, value in method_arrays("igpt").items()
        if name.startswith(PREFIX)
    }


@pytest.fixture
def saved(tmp_path):
    """Writes arrays, and a step and moments as a training has them."""
    tf = pytest.importorskip("tensorflow")

    def save(arrays):
        v1 = tf.compat.v1
        arrays = {
            **arrays,
            "model/wte/Adam": np.ones(2),
            "model/wte/Adam_1": np.ones(2),
            "global_step": np.array(7),
        }
        with tf.Graph().as_default(), v1.Session() as session:
            variables = {
                name: v1.get_variable(f"v{i}", initializer=value)
                for i, (name, value) in enumerate(arrays.items())
            }
            session.run(v1.global_variables_initializer())
            saver = v1.train.Saver(variables)
            return saver.save(session, str(tmp_path / "model.ckpt-7"))

    return save


@pytest.mark.parametrize(("variant", "causal"), [("ar", True), ("bert", False)])
def test_weights_give_the_authors_numbers(variant, causal, saved, tmp_path):
    content = weights()
    if not causal:
        del content["model/sos"]
    np.save(tmp_path / "kmeans_centers.npy", PALETTE)
    model = load_image_gpt_checkpoint(
        saved(content), tmp_path / "kmeans_centers.npy", **ROW
    )
    assert isinstance(model, ImageGPT)
    config = model.encoder.get_config()
    expected = {"num_layers": 2, "hidden_dim": 16, "num_heads": 2}
    assert {**expected, "num_colors": 8, "causal": causal}.items() <= (
        config.items()
    )
    arrays = method_arrays("igpt")
    hidden = arrays["bert_uniform"] <= 0.3
    logits = model.predict_logits(arrays["tokens"], None if causal else hidden)
    np.testing.assert_allclose(
        to_numpy(logits), arrays[f"{variant}/forward/logits"], atol=2e-5
    )
    np.testing.assert_array_equal(
        to_numpy(model.encoder.palette.colors), PALETTE
    )


def test_overrides_and_what_does_not_fit(saved, tmp_path):
    content = weights()
    path = saved(content)
    model = load_image_gpt_checkpoint(
        path, PALETTE, causal=False, feature_layer=2, **ROW
    )
    assert model.encoder.feature_layer == 2
    for palette, message in [
        (PALETTE[:7], r"\(8, 3\).*\(7, 3\)"),
        (PALETTE.ravel(), r"has \(24,\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            load_image_gpt_checkpoint(path, palette, **ROW)
    with pytest.raises(ValueError, match="`image_size` must be given"):
        load_image_gpt_checkpoint(path, PALETTE)
    with pytest.raises(ValueError, match="`model/wpe` must have the shape"):
        load_image_gpt_checkpoint(path, PALETTE, image_size=3)
    with pytest.raises(FileNotFoundError, match="no .*other.index"):
        load_image_gpt_checkpoint(tmp_path / "other", PALETTE)
    (tmp_path / "other.index").write_bytes(b"other")
    with pytest.raises(ValueError, match="cannot be read"):
        load_image_gpt_checkpoint(tmp_path / "other", PALETTE)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model/wtet", r"Missing: \['model/wtet'\]"),
        ("model/wte", r"Missing: \['model/wte'\]"),
        ("model/h1/attn/v_proj", r"Missing: .*h1/attn/\(q\|k\|v\)_proj"),
        ("model/h1/ln_1/g", "Unexpected: .*h1"),
    ],
)
def test_names_that_are_missing(name, message, saved):
    content = weights()
    del content[name]
    with pytest.raises(ValueError, match=message):
        load_image_gpt_checkpoint(saved(content), PALETTE, **ROW)


def test_names_and_numbers_that_are_none(saved):
    content = {**weights(), "model/h1/ln_3/g": np.ones(3)}
    with pytest.raises(ValueError, match=r"Unexpected: \['model/h1/ln_3/g'\]"):
        load_image_gpt_checkpoint(saved(content), PALETTE, **ROW)
    content = weights()
    content["model/ln_f/g"] = np.full(16, np.nan)
    with pytest.raises(ValueError, match="must be finite.*model/ln_f/g"):
        load_image_gpt_checkpoint(saved(content), PALETTE, **ROW)
