"""The predictors that CAPI's ablations exchange."""

import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_indices
from helpers import to_numpy

import keras_capi

KINDS = ("cross_attention", "self_attention", "fused")
INDICES = make_indices(2, predicted=6)


def predict(backbone, **indices):
    predictions = backbone.predict_masked(
        make_images(2), **{**INDICES, **indices}
    )
    return to_numpy(predictions)


@pytest.mark.parametrize("kind", KINDS)
def test_who_sees_whom(kind):
    """Hidden pixels are seen by none; mask tokens by self-attention alone."""
    backbone = make_backbone(num_layers=2, predictor=kind)
    together = predict(backbone)
    assert together.shape == (2, 6, 16)
    images = make_images(2)
    # Row 2 of the grid and all below it are hidden.
    images[:, 8:] += 1.0
    np.testing.assert_array_equal(
        to_numpy(backbone.predict_masked(images, **INDICES)), together
    )
    alone = predict(backbone, predict_indices=INDICES["predict_indices"][:, :1])
    same = np.allclose(together[:, :1], alone, atol=1e-5)
    assert same == (kind == "cross_attention")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("positions", ["rotary", "learned"])
def test_predictions_go_with_their_places(kind, positions):
    backbone = make_backbone(
        predictor=kind, positions=positions, image_shape=(16, 16, 3)
    )
    if positions == "learned":
        for part in (backbone.encoder, backbone.predictor):
            if getattr(part, "positions", None) is not None:
                table = part.positions.table
                table.assign(100.0 * table)
    turned = {k: v[:, ::-1].copy() for k, v in INDICES.items()}
    first = predict(backbone)
    np.testing.assert_allclose(
        predict(backbone, **turned)[:, ::-1], first, atol=1e-4
    )
    # The mask tokens differ by their places alone.
    assert np.abs(first[:, 0] - first[:, 1]).max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_global_feature(kind):
    backbone = make_backbone(predictor=kind)
    features = backbone(make_images(2, 16, 24))
    average = to_numpy(features["feature_map"]).mean(axis=(1, 2))
    is_average = np.allclose(to_numpy(features["global"]), average, atol=1e-5)
    assert is_average == (kind == "fused")
    maps = keras_capi.visualization.attention_maps(
        backbone, make_images(2, 16, 24)
    )
    assert ("predictor" in maps) == (kind != "fused")
    if kind == "self_attention":
        assert maps["predictor"].shape == (2, 4, 6)
        # The rest goes to registers and mask tokens.
        sums = maps["predictor"].sum(axis=(1, 2))
        assert ((sums > 0) & (sums < 1)).all()


def test_the_joint_predictor_joins_context_and_mask_tokens():
    """With one token to predict and no context else, it sees itself twice."""
    predictor = keras_capi.decoders.JointPredictor(1, 8, 2, context_dim=6)
    context = np.random.default_rng(0).normal(size=(3, 5, 6)).astype("float32")
    coordinates = np.random.default_rng(1).random((1, 5, 2)).astype("float32")
    place = np.full((3, 1, 2), 0.5, "float32")
    first = to_numpy(predictor(context, coordinates, place))
    repeated = np.repeat(coordinates, 3, axis=0)
    np.testing.assert_allclose(
        to_numpy(predictor(context, repeated, place[:1])), first, atol=1e-6
    )
    weights = to_numpy(predictor.attention_weights(context, coordinates, place))
    assert weights.shape == (3, 2, 1, 5)
    assert (weights.sum(axis=-1) < 1).all()


def test_learnt_positions_need_a_size():
    with pytest.raises(ValueError, match="must have a height and a width"):
        make_backbone(positions="learned")


@pytest.mark.parametrize("name", ["predictor", "positions"])
def test_names(name):
    with pytest.raises(ValueError, match=f"`{name}` must be one of .*'none'"):
        make_backbone(**{name: "none"})


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_predict(kind):
    backbone = make_backbone(predictor=kind)
    nothing = predict(backbone, predict_indices=np.zeros((2, 0), "int32"))
    assert nothing.shape == (2, 0, 16)


@pytest.mark.parametrize("kind", KINDS[:2])
def test_some_of_the_blocks(kind):
    predictor = make_backbone(predictor_num_layers=2, predictor=kind).predictor
    coordinates = keras_capi.ops.patch_coordinates((2, 3))[None]
    context = np.random.default_rng(0).normal(size=(2, 6, 16))
    arguments = (context.astype("float32"), coordinates, coordinates)
    whole = to_numpy(predictor(*arguments))
    np.testing.assert_array_equal(
        to_numpy(predictor(*arguments, num_layers=2)), whole
    )
    first = to_numpy(predictor(*arguments, num_layers=1))
    assert np.abs(first - whole).max() > 1e-3
    for number in (0, -1, 3, True, 1.5):
        with pytest.raises(ValueError, match="`num_layers` must be"):
            predictor(*arguments, num_layers=number)
