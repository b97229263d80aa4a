# %% [markdown]
# # Pretrain CAPI on your photos
#
# [![Open in Colab][badge]][notebook]
#
# **Author:** The keras-capi authors<br>
# **Date created:** 2026/11/24<br>
# **Last modified:** 2026/11/25<br>
# **Description:** Train a small vision transformer on photographs without
# labels, and see whether it learns.<br>
# **Accelerator:** None needed; a GPU for your own thousands of photographs
#
# [badge]: https://colab.research.google.com/assets/colab-badge.svg
# [notebook]: https://colab.research.google.com/github/keras-capi/keras-capi/blob/main/examples/notebooks/pretrain_on_your_photos.ipynb

# %% [markdown]
# CAPI teaches a network to see without any label. A *teacher* looks at the
# whole image, and a clustering sorts its patches into kinds. A *student* sees
# about a third of the patches and has to tell the kinds of hidden ones. To do
# so it must learn what goes with what: fur with fur, sky above roofs.
#
# This notebook trains on ten photographs that scikit-image and scikit-learn
# ship, so it needs no download, and takes about two minutes on two CPU cores.
# Your own photographs are one line away.
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
    package = (
        "keras-capi[jax,demo] @ git+https://github.com/keras-capi/keras-capi"
    )
    install = [sys.executable, "-m", "pip", "install", "--quiet"]
    subprocess.run([*install, package], check=True)

os.environ.setdefault("KERAS_BACKEND", "jax")  # "tensorflow" or "torch"

# %matplotlib inline

# %%
import keras
import numpy as np
from keras import ops

import keras_capi
from keras_capi import evaluation
from keras_capi import visualization

keras.utils.set_random_seed(0)
print(f"Keras {keras.version()} on {keras.backend.backend()}")

# %% [markdown]
# ## What you may want to change
#
# With a folder of your own, subfolders included, take more steps: 2000 is a
# good start for hundreds of photographs. The environment variable `QUICK` is
# there for tests of this notebook.

# %%
quick = bool(os.environ.get("QUICK"))
photo_folder = None  # such as "/content/drive/MyDrive/photos"
steps = 4 if quick else 400
output = "capi.keras"  # the trained model

IMAGE_SIZE = 64  # what the model sees, in pixels
PATCH_SIZE = 8  # so 8 x 8 patches
BATCH_SIZE = 64
NUM_CLUSTERS = 64  # no more than images in a batch

# %% [markdown]
# ## The photographs
#
# Each is resized to 320 pixels along its shorter side. The right third is held
# out: we shall test there, on pixels that training has never seen.

# %%
if photo_folder is None:
    photos = keras_capi.data.sample_photos(shorter_side=320)
else:
    photos = keras_capi.data.load_images(photo_folder, shorter_side=320)

seen, unseen = {}, {}
for name, photo in photos.items():
    split = int(0.68 * photo.shape[1])
    seen[name], unseen[name] = photo[:, :split], photo[:, split:]

print(f"{len(photos)} photographs: {', '.join(list(photos)[:10])}")
visualization.picture_grid(
    {name: [photo[:320, :320]] for name, photo in list(photos.items())[:4]}
)

# %% [markdown]
# ## Crops
#
# From ten photographs come endlessly many crops. Each is 96 pixels wide; a
# random part of it, 60 to 100 % of its area, becomes the model's 64 pixels,
# flipped half of the time. There is no colour jitter or blur: CAPI needs none.
#
# Do you have thousands of photographs? Then they need not be in memory:
# `keras_capi.data.AugmentedImages(photo_folder, image_size=64)` reads files in
# threads while the model trains, and goes into `fit` in place of `crops`.

# %%
resize = keras_capi.layers.RandomResizedCrop(IMAGE_SIZE, IMAGE_SIZE, seed=0)
flip = keras.layers.RandomFlip("horizontal", seed=0)
normalize = keras_capi.layers.ImageNetNormalization()


def augment(crops):
    return normalize(flip(resize(crops)))


epochs = max(steps // 40, 1)
crops = keras_capi.data.RandomCrops(
    seen, 96, BATCH_SIZE, steps // epochs, augment, seed=0
)
(batch,) = crops[0]
print(f"{epochs} epochs of {len(crops)} batches, each of shape {batch.shape}")

# %% [markdown]
# ## The model
#
# A small vision transformer: three blocks for the encoder, and one for the
# predictor that answers for hidden patches. The published model has 24 and 12,
# ten times the width, and 16384 clusters.
#
# `prediction_ratio` is the share of the hidden patches that the student is
# asked for. The published 0.05 is for images of many more patches. The teacher
# is a moving average of the student; runs as short as this one want it to
# follow quickly (0.98).

# %%
backbone = keras_capi.models.CAPIBackbone(
    patch_size=PATCH_SIZE,
    num_layers=3,
    predictor_num_layers=1,
    hidden_dim=96,
    num_heads=3,
    num_register_tokens=4,
    drop_path_rate=0.0,
    image_shape=(IMAGE_SIZE, IMAGE_SIZE, 3),
)
masking = keras_capi.layers.InverseBlockMasking(prediction_ratio=0.5, seed=0)
model = keras_capi.models.CAPI(
    backbone, NUM_CLUSTERS, masking, ema_momentum=0.98
)
model.compile(
    keras_capi.optimizers.capi_optimizer(
        2e-3, total_steps=steps, clustering_learning_rate=1e-2
    )
)
print(f"{backbone.count_params():,} weights in the backbone")

# %% [markdown]
# ## What to test on
#
# Crops of the held-out parts, and for each the number of its photograph. The
# model never gets these numbers. They are for one question that anyone's
# photographs can answer: *are the crops that the model finds most alike from
# the same photograph?*


# %%
def crops_to_test(parts, count):
    """Returns pixels of crops, in random order, and where they come from."""
    parts = list(parts.values())[:10]
    found = [
        keras_capi.data.RandomCrops([part], IMAGE_SIZE, count, 1, seed=index)
        for index, part in enumerate(parts)
    ]
    pixels = np.concatenate([batches[0][0] for batches in found])
    origins = np.repeat(np.arange(len(parts)), count)
    order = np.random.default_rng(0).permutation(len(pixels))
    return pixels[order], origins[order]


known, known_origins = crops_to_test(seen, 8 if quick else 40)
held_out, held_out_origins = crops_to_test(unseen, 8 if quick else 20)
known_images, held_out_images = (
    ops.convert_to_numpy(normalize(pixels)) for pixels in (known, held_out)
)

# %% [markdown]
# With these crops, look at what the student gets to see. The visible patches
# are one block, which may wrap around the edges. It has to predict the white
# patches in this step; the grey ones are hidden and not asked for.

# %%
grid = IMAGE_SIZE // PATCH_SIZE
masks = masking(held_out_images[:4], grid_size=(grid, grid))
masks = {name: ops.convert_to_numpy(x) for name, x in masks.items()}


def keep(pixels, visible, predicted):
    """Returns the visible patches of an image on grey, with white ones."""
    picture = np.full_like(pixels, 128)
    for patches, paint in ((visible, pixels), (predicted, 255)):
        hidden = np.ones(grid**2, bool)
        hidden[patches] = False
        hidden = np.kron(
            hidden.reshape(grid, grid), np.ones((PATCH_SIZE, PATCH_SIZE), bool)
        )
        picture = np.where(hidden[..., None], picture, paint)
    return picture.astype("uint8")


columns = {}
for index, crop in enumerate(held_out[:4]):
    visible = masks["visible_indices"][index]
    predicted = masks["predict_indices"][index]
    columns[f"crop {index + 1}"] = [crop, keep(crop, visible, predicted)]
visualization.picture_grid(columns)

# %% [markdown]
# ## Train
#
# Two callbacks watch. `ClusteringHealth` measures whether features or clusters
# collapse, the way in which such trainings fail, and warns with the usual
# remedy. `KNNEvaluation` asks the question from above, with ten neighbours.
#
# Before that, keep the features of the untrained network: a random network is
# a better baseline than one would think.

# %%
shown = dict(list(photos.items())[: 1 if quick else 4])
views = np.stack([photo[-320:, -320:] for photo in shown.values()])
view_images = ops.convert_to_numpy(normalize(views))
features_before = evaluation.patch_features(model, view_images)

neighbors = keras_capi.callbacks.KNNEvaluation(
    known_images, known_origins, held_out_images, held_out_origins
)
neighbors.set_model(model)
accuracy_before = neighbors.evaluate()["knn_accuracy"]

health = keras_capi.callbacks.ClusteringHealth(held_out_images)


def report(epoch, logs):
    """Prints a line of the logs in place of Keras's progress bar."""
    loss, accuracy = logs["capi_loss"], logs["knn_accuracy"]
    print(
        f"epoch {epoch + 1:2} of {epochs}: loss {loss:.2f}, "
        f"accuracy {accuracy:.3f}",
        flush=True,
    )


progress = keras.callbacks.LambdaCallback(on_epoch_end=report)
history = model.fit(
    crops, epochs=epochs, callbacks=[health, neighbors, progress], verbose=0
)

# %% [markdown]
# ## Has it learned?
#
# The loss alone does not say. A predictor that ignores the image would reach
# the entropy of the mean assignment, the dotted line; none can get below the
# entropy of the targets. What lies between the line and the loss was learned
# by looking.

# %%
usage = evaluation.cluster_usage(
    model, held_out_images, min(BATCH_SIZE, len(held_out))
)
ceiling = usage["mean_assignment_entropy"]
logs = model.evaluate(held_out_images, verbose=0, return_dict=True)
print(
    f"CAPI loss on held-out crops: {logs['capi_loss']:.2f} nats; without "
    f"looking at the image: {ceiling:.2f}"
)
visualization.training_curves(history, ceiling)

# %% [markdown]
# The health of the clustering after the last epoch, beside the range that is
# healthy; `docs/evaluation.md` says what each means. And the nearest
# neighbours: before, after, and of the raw pixels.

# %%
ranges = {
    "dead_prototypes": "0",
    "usage_share": "at least 0.1",
    "target_entropy_share": "at most 0.9",
    "feature_deviation": "at least 0.1",
    "effective_rank": "at least 4",
    "positional_information": "at most 0.5",
    "prediction_gain_share": "at least 0, rising",
}
for name, healthy in ranges.items():
    value = history.history[f"health_{name}"][-1]
    print(f"{name:24}{value:8.3f}   healthy: {healthy}")

pixels = evaluation.knn_classification(
    known_images.reshape(len(known), -1),
    known_origins,
    held_out_images.reshape(len(held_out), -1),
    held_out_origins,
    num_neighbors=(10,),
    metrics=("cosine",),
)["accuracy"]
accuracy = history.history["knn_accuracy"][-1]
print(
    f"\nCrops whose ten nearest neighbours vote for the right photograph:\n"
    f"{pixels:.1%} by pixels, {accuracy_before:.1%} by an untrained network, "
    f"{accuracy:.1%} after training"
)

# %% [markdown]
# The neighbours say the same as the loss: the network has learned something
# that holds on pixels it has never seen, in two minutes, without a label. Do
# not skip the untrained network: it is already better than pixels.
#
# The warnings during training are the callback at work: now and then one of the
# 64 clusters is chosen by hardly any patch. One of 64 does little harm. If it
# were ten, take fewer clusters.

# %% [markdown]
# ## What the features look like
#
# The three directions in which patch features vary most, as red, green and
# blue. Equal colours mean similar features, also between photographs of one
# column. Right of the dashed line nothing was seen in training.

# %%
features_after = evaluation.patch_features(model, view_images)
figure = visualization.picture_grid(
    {
        "": views,
        "untrained": visualization.principal_components(features_before),
        "trained": visualization.principal_components(features_after),
    },
    titles=list(shown),
)
for axes, photo in zip(figure.axes[::3], shown.values(), strict=True):
    width = photo.shape[1]
    axes.axvline(int(0.68 * width) - (width - 320), color="w", linestyle="--")
figure

# %% [markdown]
# Pretty, and a warning: the columns hardly differ. The strongest directions of
# an untrained network follow colour and brightness, and those of this small
# trained one still do. Such pictures flatter; what was learned is in the other
# directions, and shows in the numbers above.

# %% [markdown]
# ## Keep it
#
# One file has all: student, teacher, clustering and optimizer, so that `fit`
# could go on. It loads in a new process, after `import keras_capi`, and under
# any backend.

# %%
model.save(output)
loaded = keras.saving.load_model(output)
features_loaded = evaluation.patch_features(loaded, view_images)
difference = np.max(np.abs(features_loaded - features_after))
size = os.path.getsize(output) / 1e6
print(f"{output}: {size:.1f} MB; largest difference of features {difference}")

# %% [markdown]
# ## What next
#
# - The three other notebooks beside this one: *Explore patch features* and
#   *Evaluate and fine-tune* take `capi.keras`; *CAPI on TPU/GPU with JAX* is
#   for larger runs, and for going on after an interruption.
# - The same from the command line:
#   `keras-capi pretrain --recipe small --images photos --out run`.
# - `keras_capi.recipes.propose_settings` proposes clusters, rates and momentum
#   for the size of your data set and your batch.
