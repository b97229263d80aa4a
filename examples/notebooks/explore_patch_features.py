# %% [markdown]
# # Explore patch features
#
# [![Open in Colab][badge]][notebook]
#
# **Author:** The keras-capi authors<br>
# **Date created:** 2026/11/24<br>
# **Last modified:** 2026/11/25<br>
# **Description:** Look into a trained model: principal components, clusters and
# their favourite patches, nearest neighbours between images.<br>
# **Accelerator:** None needed
#
# [badge]: https://colab.research.google.com/assets/colab-badge.svg
# [notebook]: https://colab.research.google.com/github/keras-capi/keras-capi/blob/main/examples/notebooks/explore_patch_features.ipynb

# %% [markdown]
# A trained backbone describes each patch of an image by a vector. This
# notebook looks at these vectors in four ways, and compares each number with
# two baselines that are easily forgotten: an untrained network, and the pixels
# of the patch themselves.
#
# The first cell installs the package if it is missing, as in Colab, and picks
# the backend: JAX, TensorFlow or torch.

# %%
import importlib.util
import os
import subprocess
import sys

if importlib.util.find_spec("keras_capi") is None:
    # From the repository; or the path of a checkout, with the extras behind it.
    package = "keras-capi[jax,demo,cli] @ git+https://github.com/keras-capi/keras-capi"
    install = [sys.executable, "-m", "pip", "install", "--quiet"]
    subprocess.run([*install, package], check=True)

os.environ.setdefault("KERAS_BACKEND", "jax")  # "tensorflow" or "torch"

# %matplotlib inline

# %%
import keras
import numpy as np
import skimage.data
from keras import ops
from matplotlib import figure as figures
from matplotlib import patches as shapes

import keras_capi
from keras_capi import evaluation
from keras_capi import visualization

# %% [markdown]
# ## A model
#
# If the notebook *Pretrain CAPI on your photos* has left its `capi.keras` here,
# it is used. Otherwise a small model of the recipe `demo` is trained on the
# left two thirds of ten photographs that come with scikit-image and
# scikit-learn, without a download, in about two minutes on two CPU cores. The
# environment variable `QUICK` is there for tests of this notebook.

# %%
quick = bool(os.environ.get("QUICK"))
model_file = "capi.keras"  # or another, with patches of 8 pixels
steps, size = (4, 160) if quick else (400, 320)  # of the pictures

photos = keras_capi.data.sample_photos(shorter_side=size)
seen, unseen = {}, {}
for name, photo in photos.items():
    split = int(0.68 * photo.shape[1])
    seen[name], unseen[name] = photo[:, :split], photo[:, split:]

normalize = keras_capi.layers.ImageNetNormalization()


def prepare(pixels):
    return ops.convert_to_numpy(normalize(pixels))


recipe = keras_capi.recipes.load_recipe("demo")
model = keras_capi.recipes.make_model(recipe, steps)
if os.path.exists(model_file):
    model = keras.saving.load_model(model_file)
else:
    resize = keras_capi.layers.RandomResizedCrop(64, 64, seed=0)
    flip = keras.layers.RandomFlip("horizontal", seed=0)
    crops = keras_capi.data.RandomCrops(
        seen, 96, 64, steps, lambda x: normalize(flip(resize(x))), seed=0
    )
    history = model.fit(crops).history
    print(f"Trained {steps} steps, mean loss {history['capi_loss'][-1]:.2f}")

# The same network with random weights, to compare with.
keras.utils.set_random_seed(0)
untrained = keras_capi.models.CAPIBackbone.from_config(
    model.teacher.get_config()
)

# %% [markdown]
# ## Features
#
# The model was trained on 64 pixels, 8 x 8 patches. It takes any height and
# width that the patch size, 8, divides. Here it gets the right end of
# each photograph, 320 x 320 pixels: 40 x 40 patches. Images of one size go
# through together; each other size is compiled anew on JAX and TensorFlow.

# %%
pictures = np.stack([photo[-size:, -size:] for photo in photos.values()])
features = evaluation.patch_features(model, prepare(pictures), batch_size=5)
print(f"images {pictures.shape} -> features {features.shape}")

# %% [markdown]
# ## Principal components and clusters
#
# The three directions in which the features of *all* images vary most become
# red, green and blue. So equal colours in two photographs mean similar
# features. The clusters are those that training itself used: each patch gets
# the colour of the cluster that it is nearest to.

# %%
shown = ["chelsea", "china", "coffee", "rocket"]
chosen = [list(photos).index(name) for name in shown]
clusters = ops.convert_to_numpy(
    ops.argmax(model.clustering.logits(ops.convert_to_tensor(features)), -1)
)
visualization.feature_pictures(
    dict(zip(shown, pictures[chosen], strict=True)),
    features[chosen],
    clusters[chosen],
)

# %% [markdown]
# Smooth bright surfaces, the sky and the rim of the cup, have similar colours;
# the eyes and the nose stand out from the fur. The clusters are
# finer: they part the sky where it turns darker, and foliage, where every patch
# is different, is a mixture.
#
# Components of *one* image show more of its parts, as no direction is spent on
# telling it from others. Their colours cannot be compared between images.

# %%
visualization.picture_grid(
    {
        name: [
            pictures[index],
            visualization.principal_components([features[index]])[0],
        ]
        for name, index in zip(shown, chosen, strict=True)
    }
)

# %% [markdown]
# ## What have the clusters come to mean?
#
# The prototype browser shows, for each cluster, the patches that are nearest to
# it, at most one of an image: framed, with their surroundings. The images here
# are crops of all photographs. Of the 64 clusters, take the eight that most
# patches of the photographs above belong to.

# %%
counts = np.bincount(clusters.ravel(), minlength=model.clustering.num_clusters)
frequent = np.argsort(-counts)[:8]
print(f"{np.sum(counts > 0)} clusters occur; the most frequent:", frequent)

crop_pixels = keras_capi.data.RandomCrops(photos, 64, size, 1, seed=1)[0][0]
visualization.prototype_browser(
    model, prepare(crop_pixels), crop_pixels, clusters=frequent
)

# %% [markdown]
# Some clusters are easy to name: the night sky (40), brown fur and skin (11),
# mostly curled petals (49), pale stripes on red (5). Others mix what has a
# colour or an edge in common. Two minutes on ten photographs teach colour and
# texture rather than things.
#
# ## Nearest neighbours between images
#
# Take each patch of the held-out right ends of the photographs, 96 pixels wide,
# and find the patch that is most like it among all the left parts, which were
# seen in training. Is it from the same photograph?

# %%
left = np.stack([part[:size, : size * 3 // 5] for part in seen.values()])
right = np.stack([part[:size, -size * 3 // 10 :] for part in unseen.values()])


def pixels_of_patches(pixels):
    images = prepare(pixels)
    rows, columns = images.shape[1] // 8, images.shape[2] // 8
    cut = images.reshape(len(images), rows, 8, columns, 8, 3)
    return cut.swapaxes(2, 3).reshape(len(images), rows, columns, -1)


def trained_features(pixels):
    return evaluation.patch_features(model, prepare(pixels))


def untrained_features(pixels):
    return evaluation.patch_features(untrained, prepare(pixels))


def find(queries, database):
    """Returns for each patch of one array the most similar one of another."""
    queries, database = (
        x.reshape(-1, x.shape[-1]) for x in (queries, database)
    )
    queries, database = (x - database.mean(axis=0) for x in (queries, database))
    return evaluation.nearest_neighbors(queries, database, 1)[:, 0]


DESCRIPTIONS = {
    "pixels of the patch": pixels_of_patches,
    "untrained network": untrained_features,
    "trained network": trained_features,
}
for name, describe in DESCRIPTIONS.items():
    queries, database = describe(right), describe(left)
    found = find(queries, database)
    # From the number of a patch to that of its photograph.
    found = np.unravel_index(found, database.shape[:3])[0]
    same = np.mean(found == np.indices(queries.shape[:3])[0].ravel())
    print(f"{name:20} {same:6.1%} of the neighbours from the same photograph")

# %% [markdown]
# Training takes the network a long way, but for a *single* patch it stays
# behind pixels: these photographs differ in colour, and a patch shows its
# colour as it is. For whole crops the features are far ahead, see *Evaluate and
# fine-tune*.
#
# ## Two views of one scene
#
# Can patches find their very counterparts? scikit-image ships a motorcycle
# photographed by a pair of cameras, with the measured displacement of each
# pixel, so matches can be counted: a match is right if it is at most one patch
# off, along rows and columns.

# %%
views = skimage.data.stereo_motorcycle()
scale = views[0].shape[0] / size
displacement = np.asarray(views[2])
views = np.stack(
    [keras_capi.data.resize_shorter_side(view, size) for view in views[:2]]
)
num_rows, num_columns = views.shape[1] // 8, views.shape[2] // 8
views = views[:, : 8 * num_rows, : 8 * num_columns]
rows, columns = np.mgrid[:num_rows, :num_columns]
centres = [(8 * scale * (x + 0.5)).astype(int) for x in (rows, columns)]
expected = columns - displacement[centres[0], centres[1]] / scale / 8
# Some pixels have no measurement, and some left the second picture.
valid = np.isfinite(expected) & (expected > -0.5)

matches = {}
for name, describe in DESCRIPTIONS.items():
    described = describe(views)
    found = find(described[0], described[1])
    matches[name] = np.divmod(found.reshape(rows.shape), num_columns)
    is_right = (np.abs(matches[name][0] - rows) <= 1) & (
        np.abs(matches[name][1] - expected) <= 1
    )
    print(f"{name:20} {is_right[valid].mean():6.1%} of the matches are right")

# %% [markdown]
# All about equal, and it should not surprise: the same thing has nearly the
# same pixels in both views, and the network has learned to tell kinds of
# patches, for which it does not matter which of two boxes a patch is from.
#
# Some matches of the trained network, green where they are right:


# %%
def draw_matches(found, places):
    """Draws two views, and lines between patches and their matches."""
    drawing = figures.Figure(figsize=(8, 2.8), layout="constrained")
    axes = drawing.subplots()
    axes.imshow(np.concatenate(views, axis=1))
    for row, column in places:
        end = found[0][row, column], found[1][row, column]
        error = np.abs(np.subtract(end, (row, expected[row, column])))
        ends = np.array([(row, column), (end[0], end[1] + num_columns)]) * 8 + 4
        color = "lime" if error.max() <= 1 else "red"
        axes.plot(ends[:, 1], ends[:, 0], color=color, linewidth=1)
        for y, x in ends:
            frame = (x - 4, y - 4), 8, 8
            axes.add_patch(shapes.Rectangle(*frame, fill=False, ec=color))
    axes.set_axis_off()
    return drawing


places = np.argwhere(valid)
places = places[np.random.default_rng(0).permutation(len(places))[:24]]
draw_matches(matches["trained network"], places)

# %% [markdown]
# ## What next
#
# - `visualization.dictionary_maps` splits patches into parts that add up, and
#   `visualization.attention_maps` shows where registers and predictor look.
# - `visualization.write_report` puts curves, health and pictures of a training
#   onto one page; `keras-capi visualize photos --model run --out features.png`
#   draws the maps of a folder.
# - Published weights show far more:
#   `CAPIBackbone.from_preset("capi_vit_large_patch14_lvd142m")` in place of
#   the teacher, given the download and a GPU.
