# %% [markdown]
# # Evaluate and fine-tune
#
# [![Open in Colab][badge]][notebook]
#
# **Author:** The keras-capi authors<br>
# **Date created:** 2026/11/24<br>
# **Last modified:** 2026/11/25<br>
# **Description:** Measure what features are worth: nearest neighbours, probes,
# and fine-tuning with few labels, beside the baselines.<br>
# **Accelerator:** None needed; a GPU for large backbones
#
# [badge]: https://colab.research.google.com/assets/colab-badge.svg
# [notebook]: https://colab.research.google.com/github/keras-capi/keras-capi/blob/main/examples/notebooks/evaluate_and_fine_tune.ipynb

# %% [markdown]
# Are features any good? This notebook asks a task: *which of ten photographs
# is a small crop from?* Crops of the left two thirds of the photographs are
# there to learn from, those of the right third to test on, so the network must
# know what kind of thing it sees: fur, roofs, galaxies, tissue.
#
# Every number stands beside those of an untrained network and of raw pixels.
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
from keras import ops
from matplotlib import colormaps

import keras_capi
from keras_capi import evaluation
from keras_capi import visualization

# %% [markdown]
# ## A model
#
# If the notebook *Pretrain CAPI on your photos* has left its `capi.keras` here,
# it is used. Otherwise a small model of the recipe `demo` is trained, without
# labels, in about two minutes on two CPU cores. The environment variable
# `QUICK` is there for tests of this notebook.

# %%
quick = bool(os.environ.get("QUICK"))
model_file = "capi.keras"  # or another, with patches of 8 pixels
steps = 4 if quick else 400
epochs = 1 if quick else 20  # of the fine-tuning
crops_each = 10 if quick else 100  # of a photograph

photos = keras_capi.data.sample_photos(shorter_side=320)
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
# ## The task
#
# 100 crops of each photograph to learn from, and 50 to test. With images of
# your own, one folder for each class:
#
# ```python
# images, labels, names = keras_capi.data.load_labelled_images("flowers/train")
# ```


# %%
def make_crops(parts, count, seed):
    """Returns crops of each photograph, in random order, and its number."""
    found = [
        keras_capi.data.RandomCrops([part], 64, count, 1, seed=seed + index)
        for index, part in enumerate(parts.values())
    ]
    pixels = np.concatenate([batches[0][0] for batches in found])
    labels = np.repeat(np.arange(len(parts)), count)
    order = np.random.default_rng(seed).permutation(len(pixels))
    return pixels[order], labels[order]


train_pixels, train_labels = make_crops(seen, crops_each, seed=0)
test_pixels, test_labels = make_crops(unseen, crops_each // 2, seed=100)
train_images, test_images = prepare(train_pixels), prepare(test_pixels)
names = list(photos)
visualization.picture_grid(
    {
        names[label]: [train_pixels[train_labels == label][0]]
        for label in range(6)
    }
)

# %% [markdown]
# ## Nearest neighbours
#
# The plainest test: nothing is trained. The ten nearest crops vote. A backbone
# has two features of a whole image: the `average` of its patches, and the
# `global` feature, which the predictor's first block makes of them.


# %%
def features_of(backbone, images):
    features = backbone.predict(images, batch_size=100, verbose=0)
    average = features["feature_map"].mean(axis=(1, 2))
    return {"average": average, "global": features["global"]}


train, test = {}, {}
for images, features in ((train_images, train), (test_images, test)):
    features["pixels"] = images.reshape(len(images), -1)
    for kind, backbone in (
        ("untrained", untrained),
        ("trained", model.teacher),
    ):
        for name, values in features_of(backbone, images).items():
            features[f"{kind}, {name}"] = values

for name in train:
    scores = evaluation.knn_classification(
        train[name], train_labels, test[name], test_labels, (10,), ("cosine",)
    )
    print(f"{name:20}{scores['accuracy']:6.1%}")

# %% [markdown]
# Training without labels gains about 15 points over the untrained network and
# 30 over pixels. This is one run, and 500 test crops: differences of two or
# three points, here and below, may be chance.
#
# ## Linear probes
#
# What can a linear classifier read from the features? `probe_classification`
# trains a grid of learning rates and weight decays at once and takes the one
# that is best on a tenth of the training crops, which are held out for it. The
# test crops decide nothing. The paper's grid is larger (10 x 3) and takes
# 12500 steps.

# %%
kinds = [name for name in train if name != "pixels"]
results = evaluation.probe_classification(
    {name: train[name] for name in kinds},
    train_labels,
    {name: test[name] for name in kinds},
    test_labels,
    learning_rates=(1e-3, 1e-2, 1e-1),
    weight_decays=(5e-4, 5e-2),
    num_steps=steps,
    batch_size=8 * min(crops_each, 16),
)
for name, scores in results.items():
    print(
        f"{name:20}{scores['accuracy']:6.1%}   "
        f"learning rate {scores['learning_rate']:g}"
    )

# %% [markdown]
# A linear classifier, too, reads more from trained features: 11 points. It is
# no better than neighbours, which need no training.
#
# ## Fine-tune with 100 labels
#
# Now change the backbone too. `CAPIClassifier` puts a linear layer on it, and
# `LayerDecayAdamW` lets early blocks, which know what images are like in
# general, change less than late ones. A classifier uses the backbone that it is
# given, not a copy; as there are more experiments to come, make copies.


# %%
def copy_of(backbone):
    copy = keras_capi.models.CAPIBackbone.from_config(backbone.get_config())
    copy.set_weights(backbone.get_weights())
    return copy


def fine_tune(model, images, labels):
    """Trains all of a classifier or segmenter."""
    model.compile(
        keras_capi.optimizers.LayerDecayAdamW(
            1e-3, model.backbone.encoder.num_layers, layer_decay=0.75
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(images, labels, batch_size=25, epochs=epochs, verbose=0)
    return model


few = np.concatenate(
    [np.flatnonzero(train_labels == label)[:10] for label in range(10)]
)
for kind, backbone in (("untrained", untrained), ("trained", model.teacher)):
    keras.utils.set_random_seed(1)
    classifier = keras_capi.models.CAPIClassifier(copy_of(backbone), 10)
    fine_tune(classifier, train_images[few], train_labels[few])
    accuracy = classifier.evaluate(
        test_images, test_labels, verbose=0, return_dict=True
    )["accuracy"]
    neighbors = evaluation.knn_classification(
        train[f"{kind}, global"][few],
        train_labels[few],
        test[f"{kind}, global"],
        test_labels,
        (3,),
        ("cosine",),
    )["accuracy"]
    print(
        f"{kind:20}{accuracy:6.1%} fine-tuned, {neighbors:6.1%} by neighbours"
    )

# %% [markdown]
# Pretrained and fine-tuned is best. Neighbours in the frozen pretrained
# features already do as well as a network fine-tuned from random weights.
#
# ## Segmentation, and where nothing is gained
#
# A harder task: mosaics of crops of two photographs, where every pixel is to be
# labelled with its own. In `knn_segmentation` the nearest patches vote.


# %%
def make_mosaics(pixels, labels, count, seed):
    """Joins pairs of crops along a line at random."""
    generator = np.random.default_rng(seed)
    first, second = generator.permutation(len(pixels))[: 2 * count].reshape(
        2, -1
    )
    differ = labels[first] != labels[second]
    first, second, count = first[differ], second[differ], np.sum(differ)
    angles = generator.uniform(0, 2 * np.pi, (count, 1, 1))
    offsets = generator.uniform(-12, 12, (count, 1, 1))
    y, x = np.mgrid[:64, :64] - 31.5
    side = np.cos(angles) * x + np.sin(angles) * y > offsets
    masks = np.where(
        side, labels[first, None, None], labels[second, None, None]
    )
    mosaics = np.where(side[..., None], pixels[first], pixels[second])
    return mosaics, masks


train_mosaics, train_masks = make_mosaics(
    train_pixels, train_labels, 4 * crops_each, 2
)
test_mosaics, test_masks = make_mosaics(
    test_pixels, test_labels, 2 * crops_each, 3
)


def pixels_of_patches(images):
    cut = images.reshape(len(images), 8, 8, 8, 8, 3).swapaxes(2, 3)
    return cut.reshape(len(images), 8, 8, -1)


DESCRIPTIONS = {
    "pixels": pixels_of_patches,
    "untrained": lambda x: evaluation.patch_features(untrained, x, 100),
    "trained": lambda x: evaluation.patch_features(model.teacher, x, 100),
}
mosaic_images = [prepare(train_mosaics), prepare(test_mosaics)]
for name, describe in DESCRIPTIONS.items():
    known, asked = map(describe, mosaic_images)
    scores = evaluation.knn_segmentation(
        known, train_masks, asked, test_masks, ignore_labels=()
    )
    print(
        f"{name:20}mean IoU {scores['mean_iou']:6.1%}, "
        f"pixels right {scores['pixel_accuracy']:6.1%}"
    )

# %% [markdown]
# Here pixels win, and training gains nothing, it even loses a little. A patch
# of 8 x 8 pixels shows its colour directly, while a network of this size mixes
# it with what is around it, on the other side of the line as well.
# `docs/evaluation.md` has another such case. Measure before you believe.
#
# With `CAPISegmenter`, which labels every pixel, fine-tune on 100 mosaics:

# %%
for kind, backbone in (("untrained", untrained), ("trained", model.teacher)):
    keras.utils.set_random_seed(1)
    segmenter = keras_capi.models.CAPISegmenter(copy_of(backbone), 10)
    fine_tune(segmenter, mosaic_images[0][:100], train_masks[:100])
    predicted = segmenter.predict(mosaic_images[1], verbose=0).argmax(axis=-1)
    scores = evaluation.segmentation_scores(
        test_masks.reshape(len(test_masks), -1),
        predicted.reshape(len(predicted), -1),
        ignore_labels=(),
    )
    print(
        f"{kind:20}mean IoU {scores['mean_iou']:6.1%}, "
        f"pixels right {scores['pixel_accuracy']:6.1%}"
    )

palette = colormaps["tab10"].colors
visualization.picture_grid(
    {
        "mosaic": test_mosaics[:4],
        "truth": np.take(palette, test_masks[:4], axis=0),
        "predicted": np.take(palette, predicted[:4], axis=0),
    }
)

# %% [markdown]
# No gain here either: 100 mosaics are few, and neighbours in raw pixels remain
# the best segmentation. The pictures show why one should look: dark patches are
# torn between all photographs that have some.
#
# ## Keep the classifier
#
# A file of a fine-tuned model loads alone, in a new process after
# `import keras_capi`.

# %%
classifier.save("classifier.keras")
loaded = keras.saving.load_model("classifier.keras")
predicted = loaded.predict(test_images[:6], verbose=0).argmax(axis=-1)
visualization.picture_grid(
    {
        f"{names[guess]}": [pixels]
        for guess, pixels in zip(predicted, test_pixels, strict=False)
    }
)

# %% [markdown]
# ## What next
#
# - `freeze_backbone=True` trains the head alone, and `backbone.enable_lora(8)`
#   low-rank updates: for large backbones.
# - `evaluation.logistic_segmentation` is the paper's other segmentation; it
#   takes minutes here.
# - `keras-capi evaluate` runs these evaluations from the command line.
