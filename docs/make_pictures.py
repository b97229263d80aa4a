"""Draws pictures of the pages with the package's own functions.

KERAS_BACKEND=jax python docs/make_pictures.py
KERAS_BACKEND=jax python docs/make_pictures.py draw_trainings

Those of docs/training.md take three trainings of one to two minutes.
"""

import pathlib
import sys

import keras
import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
from keras import ops

import keras_capi

FOLDER = pathlib.Path(__file__).parent / "pictures"
GRID = (14, 14)
# Settings that make the recipe `demo` fail, and the names of the pictures.
TRAININGS = {
    "healthy": [],
    "collapsed": ["clustering.target_temperature=1.0"],
    "too_fast": ["optimizer.learning_rate=0.05"],
}
NUM_STEPS, STEPS_PER_EPOCH = 200, 20
HIDDEN, VISIBLE, PREDICTED = "#3b4a6b", "#f2c14e", "#d1495b"


def save(figure, name):
    figure.savefig(FOLDER / name, dpi=80, bbox_inches="tight")
    plt.close(figure)


def draw_masks():
    """Visible, hidden and predicted patches of three layers."""
    maskings = {
        "RandomMasking": keras_capi.layers.RandomMasking(GRID, seed=0),
        "BlockMasking": keras_capi.layers.BlockMasking(GRID, seed=0),
        "InverseBlockMasking": keras_capi.layers.InverseBlockMasking(
            GRID, prediction_ratio=0.2, seed=0
        ),
    }
    colors = matplotlib.colors.ListedColormap([HIDDEN, VISIBLE, PREDICTED])
    figure, axes = plt.subplots(3, 5, figsize=(8, 5.2))
    for row, (name, masking) in zip(axes, maskings.items(), strict=True):
        masks = masking(ops.zeros((5,)))
        visible = ops.convert_to_numpy(masks["visible_indices"])
        predicted = ops.convert_to_numpy(masks["predict_indices"])
        for axis, seen, wanted in zip(row, visible, predicted, strict=True):
            cells = np.zeros(GRID[0] * GRID[1])
            cells[seen] = 1
            cells[wanted] = 2
            axis.imshow(cells.reshape(GRID), cmap=colors, vmin=0, vmax=2)
            axis.set_xticks([])
            axis.set_yticks([])
        row[0].set_title(name, loc="left", fontsize=10)
    save(figure, "masking.png")


def draw_assignments():
    """Scores of one position before and after balancing."""
    generator = np.random.default_rng(0)
    # Two clusters that nearly all images like best.
    scores = generator.normal(size=(24, 8)) + [3, 2, 0, 0, 0, 0, 0, 0]
    scores = (0.1 * scores).astype("float32")
    softmax = ops.softmax(scores / 0.06)
    balanced = keras_capi.ops.sinkhorn_knopp(scores / 0.06)
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for axis, values, title in (
        (axes[0], softmax, "softmax"),
        (axes[1], balanced, "sinkhorn_knopp"),
    ):
        values = ops.convert_to_numpy(values)
        picture = axis.imshow(
            values.T, vmin=0, vmax=1, cmap="viridis", aspect="auto"
        )
        axis.set_title(title)
        axis.set_xlabel("images of the batch")
        axis.set_ylabel("clusters")
        for cluster, total in enumerate(values.sum(axis=0)):
            axis.text(24, cluster, f"{total:.1f}", va="center", fontsize=8)
    figure.colorbar(picture, ax=axes, label="assignment", shrink=0.7)
    save(figure, "balancing.png")


def draw_rotary():
    """How similar a query of the middle is to the same key elsewhere."""
    side, head_dim = 33, 64
    coordinates = keras_capi.ops.patch_coordinates((side, side))
    frequencies = keras_capi.ops.rotary_frequencies(head_dim)
    cosine, sine = keras_capi.ops.rotary_angles(coordinates, frequencies)
    generator = np.random.default_rng(0)
    figure, axes = plt.subplots(1, 4, figsize=(9, 2.6), layout="constrained")
    for axis in axes:
        token = generator.normal(size=head_dim).astype("float32")
        tokens = ops.broadcast_to(token, (side * side, 1, head_dim))
        turned = ops.convert_to_numpy(
            keras_capi.ops.apply_rotary(tokens, cosine, sine)
        )[:, 0]
        similarity = turned @ turned[side * side // 2] / head_dim
        axis.imshow(similarity.reshape(side, side), cmap="magma")
        axis.set_xticks([])
        axis.set_yticks([])
    save(figure, "rotary.png")


def draw_registers():
    """Where registers stand, in a full image and around visible patches."""
    patches = ops.convert_to_numpy(keras_capi.ops.patch_coordinates(GRID))
    registers = ops.convert_to_tensor(keras_capi.ops.register_coordinates(16))
    masking = keras_capi.layers.InverseBlockMasking(GRID, roll=False, seed=1)
    masks = masking(ops.zeros((1,)))
    visible = patches[ops.convert_to_numpy(masks["visible_indices"])[0]]
    moved = keras_capi.ops.scale_to_bounding_box(registers, visible[None])
    figure, axes = plt.subplots(1, 2, figsize=(7, 3.4), layout="constrained")
    for axis, seen, places, title in (
        (axes[0], patches, registers, "the whole image"),
        (axes[1], visible, moved, "scale_registers_to_visible"),
    ):
        places = ops.convert_to_numpy(places).reshape(-1, 2)
        axis.scatter(patches[:, 1], patches[:, 0], c=HIDDEN, s=6)
        axis.scatter(seen[:, 1], seen[:, 0], c=VISIBLE, s=30, marker="s")
        axis.scatter(places[:, 1], places[:, 0], c=PREDICTED, s=40)
        axis.set_title(title, fontsize=10)
        axis.invert_yaxis()
        axis.set_aspect("equal")
    save(figure, "registers.png")


def draw_trainings():
    """Curves and features of trainings on ten photographs, good and bad."""
    normalize = keras_capi.layers.ImageNetNormalization()
    resize = keras_capi.layers.RandomResizedCrop(64, 64, seed=0)
    photos = keras_capi.data.sample_photos(shorter_side=320)
    # What is right of two thirds is not trained on.
    seen = [photo[:, : 2 * photo.shape[1] // 3] for photo in photos.values()]
    unseen = [photo[:, 2 * photo.shape[1] // 3 :] for photo in photos.values()]
    ((held_out,),) = keras_capi.data.RandomCrops(unseen, 64, 128, 1, seed=1)
    held_out = ops.convert_to_numpy(normalize(held_out))
    views = np.stack(
        [photos[name][-320:, -320:] for name in ("coffee", "chelsea")]
    )
    columns = {"": views}
    for name, settings in TRAININGS.items():
        recipe = keras_capi.recipes.load_recipe("demo", settings)
        model = keras_capi.recipes.make_model(recipe, NUM_STEPS)
        crops = keras_capi.data.RandomCrops(
            seen, 96, 64, STEPS_PER_EPOCH, lambda x: normalize(resize(x)), 0
        )
        health = keras_capi.callbacks.ClusteringHealth(held_out)
        epochs = NUM_STEPS // STEPS_PER_EPOCH
        history = model.fit(crops, epochs=epochs, callbacks=[health], verbose=2)
        usage = keras_capi.evaluation.cluster_usage(model, held_out)
        curves = keras_capi.visualization.training_curves(
            history, usage["mean_assignment_entropy"]
        )
        curves.axes[0].set_title(name.replace("_", " "))
        curves.set_size_inches(4.6, 3.4)
        save(curves, f"curves_{name}.png")
        features = keras_capi.evaluation.patch_features(
            model, ops.convert_to_numpy(normalize(views))
        )
        columns[name.replace("_", " ")] = (
            keras_capi.visualization.principal_components(features)
        )
    save(keras_capi.visualization.picture_grid(columns), "trainings.png")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    drawings = (
        draw_masks,
        draw_assignments,
        draw_rotary,
        draw_registers,
        draw_trainings,
    )
    for draw in drawings:
        if not sys.argv[1:] or draw.__name__ in sys.argv[1:]:
            keras.utils.set_random_seed(0)
            draw()
