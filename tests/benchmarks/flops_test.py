"""The matrix products of a step, against what the models say of themselves."""

import argparse

import pytest

import keras_capi
from benchmarks import recipe_sizes
from benchmarks.inference import encoder_flops
from benchmarks.steps import beit
from benchmarks.steps import capi
from benchmarks.steps import data2vec
from benchmarks.steps import dino
from benchmarks.steps import ibot
from benchmarks.steps import ijepa
from benchmarks.steps import mae
from benchmarks.steps import simmim


def options_of(**changes):
    settings = {
        "size": "tiny",
        "image_size": 224,
        "batch_size": 16,
        "clusters": 4096,
    }
    return argparse.Namespace(**settings | changes)


def test_published_figures():
    assert capi.flops(options_of()) / 1e9 == pytest.approx(93.5, abs=0.05)
    # Twice the multiply-adds of a ViT-Ti/16, 1.26 G, and of the registers.
    encoder = encoder_flops(options_of(batch_size=1)) / 2e9
    assert 1.26 < encoder < 1.26 * 213 / 196


def test_recipes_are_counted_as_they_are():
    recipe = keras_capi.recipes.load_recipe("demo")
    _, sizes = recipe_sizes.describe(recipe)
    assert sizes["gflop_per_step"] == 8.2


def test_patches_are_counted_as_the_default_masks_do():
    masking = keras_capi.layers.InverseBlockMasking()
    for image_size in (96, 224):
        options = options_of(image_size=image_size)
        patches, visible, predicted = capi.count_masked(options)
        side = image_size // 16
        assert patches == side**2
        assert masking.count_patches((side, side)) == (visible, predicted)


def test_batches_add_up():
    for method in (mae, dino, simmim, ijepa, ibot, beit, data2vec):
        once, twice = (
            method.flops(options_of(batch_size=size)) for size in (1, 2)
        )
        assert twice == 2 * once


def test_small_views_are_whole_patches():
    assert dino.view_sizes(options_of()) == (224, 96)
    assert dino.view_sizes(options_of(size="small")) == (224, 98)


def test_cells_are_hidden_as_a_model_hides_them():
    options = options_of()
    masks = simmim.make_masks(options)
    masking = keras_capi.layers.CellMasking((14, 14))
    rows, columns, num_hidden = masking.count_cells((14, 14))
    cells = masks.reshape(16, rows, 2, columns, 2)
    assert (cells == cells[:, :, :1, :, :1]).all()
    assert (masks.sum(axis=(1, 2)) == 4 * num_hidden).all()
    assert (masks[0] != masks[1]).any()


def test_as_many_patches_are_hidden_as_models_hide_at_most():
    options = options_of()
    for method, count in ((beit, 75), (data2vec, 120)):
        masks = method.make_masks(options)
        assert masks.shape == (16, 196)
        assert (masks.sum(axis=1) == count).all()
        assert (masks[0] != masks[1]).any()


def test_heads_score_hidden_patches():
    options = options_of(batch_size=1)
    words = beit.make_words(options)
    assert words.shape == (1, 196)
    assert 0 <= words.min() < words.max() < beit.VOCABULARY_SIZE
    # Without heads, data2vec's teacher goes forward once more.
    head = 2 * 192 * beit.VOCABULARY_SIZE * 75
    encoder = beit.flops(options) / 3 - head
    theirs = data2vec.flops(options) - 3 * 2 * 192**2 * 120
    assert theirs == 4 * encoder
    # Twice the multiply-adds of a ViT-Ti/16.
    assert encoder / 2e9 == pytest.approx(1.26, abs=0.01)


def test_contexts_are_without_the_blocks():
    options = options_of()
    visible, predicted = ijepa.make_masks(options)
    masking = keras_capi.layers.MultiBlockMasking((14, 14))
    most_visible, most_predicted = masking.count_patches((14, 14))
    assert 10 < visible.shape[-1] < most_visible
    assert predicted.shape[:2] == (16, masking.num_blocks)
    assert predicted.shape[-1] <= most_predicted
    for context, blocks in zip(visible, predicted, strict=True):
        assert not set(context) & set(blocks.ravel())
        assert (context[1:] > context[:-1]).all()


def test_half_of_the_views_are_masked():
    masks = ibot.make_masks(options_of())
    assert masks.shape == (16, ibot.NUM_GLOBAL, 14, 14)
    assert not masks[:, 0].any()
    assert masks[:, 1].mean() == pytest.approx(ibot.MASK_RATIO, abs=0.05)


def test_ibot_scores_patches_too():
    options = options_of(batch_size=1)
    without, head = (
        dino.view_flops(options, 224, tokens=count) for count in (0, 1)
    )
    head -= without
    # The teacher once, the student three times, two views of 196 patches.
    assert ibot.flops(options) - dino.flops(options) == 4 * 2 * 196 * head
