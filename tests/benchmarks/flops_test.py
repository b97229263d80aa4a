"""The matrix products of a step, against what the models say of themselves."""

import argparse

import pytest

import keras_capi
from benchmarks import recipe_sizes
from benchmarks.inference import encoder_flops
from benchmarks.steps import aim
from benchmarks.steps import beit
from benchmarks.steps import capi
from benchmarks.steps import colorization
from benchmarks.steps import context_encoder
from benchmarks.steps import data2vec
from benchmarks.steps import data2vec2
from benchmarks.steps import deepclusterv2
from benchmarks.steps import denoising_autoencoder
from benchmarks.steps import dino
from benchmarks.steps import dinov2
from benchmarks.steps import ibot
from benchmarks.steps import ijepa
from benchmarks.steps import image_gpt
from benchmarks.steps import relative_position
from benchmarks.steps import rotation
from benchmarks.steps import simclr
from benchmarks.steps import simmim
from benchmarks.steps import swav
from benchmarks.steps import views
from benchmarks.train_step import METHODS
from keras_capi.methods.inputs.pair_inputs import LABELS

# Of a ViT-Ti/16: twice the multiply-adds of images of 224 and of 96 pixels.
LARGE, SMALL = 2 * 1.26e9, 2 * 0.208e9


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
    for method in METHODS.values():
        if method not in (capi, dinov2):  # which drop whole samples
            once, twice = (
                method.flops(options_of(batch_size=size)) for size in (1, 2)
            )
            assert twice == 2 * once


def test_small_views_are_whole_patches():
    assert views.view_sizes(options_of()) == (224, 96)
    assert views.view_sizes(options_of(size="small")) == (224, 98)


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


def test_as_many_patches_are_scored_as_models_score():
    options = options_of()
    masking = keras_capi.layers.StratifiedMasking((14, 14))
    count = masking.count_hidden_in_batch(32, (14, 14))
    assert dinov2.count_hidden(options) == count
    head = 2 * (192 * 2048 + 2048**2 + 2048 * 256 + 256 * 4096)
    scored = dinov2.flops(options) - dinov2.flops(options_of(clusters=4095))
    # By the teacher once, by the student three times.
    tokens = 16 * (2 + 3 * 10) + 4 * count
    assert scored == tokens * 2 * 256
    blocks = dinov2.flops(options) - tokens * head
    # The student keeps 22 of 32 large views, 89 of 128 small ones.
    kept = 32 * LARGE + 3 * (22 * LARGE + 89 * SMALL)
    assert blocks == pytest.approx(kept, rel=0.03)


def test_views_and_heads_are_counted():
    options = options_of(batch_size=1)
    head = 2 * (192 * 2048 + 2048 * 128)
    scores = 2 * 128 * 4096
    clustering = 3 * (2 * LARGE + 6 * SMALL + 8 * head)
    pair = 768 * (2 * 768 + 768 + 8)
    for method, products in (
        (swav, clustering + (3 * 8 + 2 * 15) * scores),
        (deepclusterv2, clustering + 2 * 8 * 3 * scores),
        (simclr, 3 * 2 * LARGE),
        (rotation, 3 * 4 * LARGE),
        (relative_position, 3 * (9 * SMALL + 40 * 2 * pair)),
        (denoising_autoencoder, 3 * (LARGE + 2 * 196 * 192 * 768)),
        (colorization, 3 * (LARGE + 2 * 56**2 * 192 * 313)),
        (aim, 3 * (LARGE + 2 * 196 * 192**2 * (1 + 12 * 8 + 4))),
    ):
        assert method.flops(options) == pytest.approx(products, rel=0.02)
    assert len(LABELS) == relative_position.NUM_PAIRS


def test_images_of_image_gpt_are_small():
    assert image_gpt.small_size(options_of()) == 32
    products = 12 * (12 * 192**2 * 1024 + 2 * 192 * 1024**2)
    products += 192 * 512 * 1024
    assert image_gpt.flops(options_of(batch_size=1)) == 3 * 2 * products


def test_the_discriminator_is_counted():
    options = options_of(batch_size=1)
    more = context_encoder.flops(options) - denoising_autoencoder.flops(options)
    first, *others = (
        2 * 16 * side**2 * inner * outer
        for side, inner, outer in (
            (56, 3, 64),
            (28, 64, 128),
            (14, 128, 256),
            (7, 256, 512),
        )
    )
    assert more == 6 * first + 8 * sum(others)


def test_masks_of_an_image_show_a_fifth():
    options = options_of(batch_size=2)
    visible, hidden = data2vec2.make_masks(options)
    masking = keras_capi.layers.InverseSquareMasking((14, 14))
    counts = masking.count_patches((14, 14))
    assert (visible.shape, hidden.shape) == tuple(
        (2, data2vec2.NUM_MASKS, count) for count in counts
    )
    student = data2vec2.flops(options_of(batch_size=1)) - LARGE
    decoder = 196 * (6 * 9 * 192**2 // 16 + 192**2)
    encoder = 12 * (12 * 192**2 * 40 + 2 * 192 * 40**2)
    products = 3 * (196 * 768 * 192 + 16 * (encoder + decoder))
    assert student == pytest.approx(2 * products, rel=0.01)
