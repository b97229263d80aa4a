# %% [markdown]
# # CAPI on TPU/GPU with JAX
#
# [![Open in Colab][badge]][notebook]
#
# **Author:** The keras-capi authors<br>
# **Date created:** 2026/11/24<br>
# **Last modified:** 2026/11/25<br>
# **Description:** Several devices, compilation, half precision, image files
# read in threads, and going on after an interruption.<br>
# **Accelerator:** GPU or TPU; without one, it shows everything on two CPU
# devices
#
# [badge]: https://colab.research.google.com/assets/colab-badge.svg
# [notebook]: https://colab.research.google.com/github/keras-capi/keras-capi/blob/main/examples/notebooks/train_with_jax.ipynb

# %% [markdown]
# What changes when a training becomes large? The model, `compile` and `fit`
# stay as they are. Around them come five lines, and this notebook shows each.
#
# **What was measured:** the numbers below come from two CPU cores, where JAX
# plays two devices. The tests of the package compare two such devices with
# one. Nobody has run this notebook on a GPU or a TPU for us yet: remarks on
# them follow from what JAX and Keras document.
#
# The first cell installs the package if it is missing, as in Colab, and sets
# the backend. On a machine without an accelerator it also asks JAX for two
# devices instead of one; GPUs and TPUs are not affected by that flag.

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

os.environ.setdefault("KERAS_BACKEND", "jax")
flags = "--xla_force_host_platform_device_count=2"
os.environ.setdefault("XLA_FLAGS", flags)

# %matplotlib inline

# %%
import pathlib
import time

import jax
import keras
import numpy as np
from PIL import Image

import keras_capi

if keras.backend.backend() != "jax":
    raise RuntimeError("This notebook is for JAX: set KERAS_BACKEND=jax")

on_accelerator = jax.default_backend() != "cpu"
print(f"JAX {jax.__version__}, devices: {jax.devices()}")

# %% [markdown]
# ## What you may want to change
#
# The environment variable `QUICK` is there for tests of this notebook.

# %%
quick = bool(os.environ.get("QUICK"))
photo_folder = None  # such as "/content/drive/MyDrive/photos"
run_folder = pathlib.Path("run")  # in Colab better on Drive, which stays
batch_size = 64  # of all devices together
samples_per_image = 3 if quick else 16  # few photographs make short epochs
epochs = 2 if quick else 4

# %% [markdown]
# ## Precision
#
# TPUs and recent GPUs multiply bfloat16 several times faster than float32. Set
# the policy before anything is made. Weights, Sinkhorn-Knopp, both losses and
# all coordinates stay float32. On CPUs leave it at float32. Older GPUs,
# such as Colab's T4, want `"mixed_float16"`.

# %%
policy = "mixed_bfloat16" if on_accelerator else "float32"
keras.config.set_dtype_policy(policy)
print(f"policy: {policy}")

# %% [markdown]
# ## Devices
#
# `DataParallel` gives each device an equal share of every batch, and all the
# same weights. CAPI balances its clusters over the *whole* batch: the compiler
# adds the sums over devices that this needs, so that the result is that of one
# device. Set the distribution before the model is made.

# %%
keras.utils.set_random_seed(0)
distribution = keras.distribution.DataParallel()
keras.distribution.set_distribution(distribution)
num_devices = distribution.device_mesh.shape[0]
print(f"{num_devices} devices, {batch_size // num_devices} images for each")

# %% [markdown]
# If the weights do not fit on one device, split them, too. Here for eight
# devices: the batch over four, the weights over two.
#
# ```python
# mesh = keras.distribution.DeviceMesh((4, 2), ("batch", "model"))
# keras.distribution.set_distribution(
#     keras.distribution.ModelParallel(
#         layout_map=keras_capi.models.CAPI.get_layout_map(mesh),
#         batch_dim_name="batch",
#     )
# )
# ```
#
# ## Data
#
# An accelerator is fast only if images arrive in time. `AugmentedImages` reads,
# decodes and augments files in threads while the model trains. Without a folder
# of yours, cut the photographs that scikit-image and scikit-learn ship into
# JPEG files.

# %%
if photo_folder is None:
    photo_folder = pathlib.Path("photos")
    photo_folder.mkdir(exist_ok=True)
    photos = keras_capi.data.sample_photos(shorter_side=320)
    for name, photo in photos.items():
        for left in range(0, photo.shape[1] - 159, 160):
            for top in range(0, photo.shape[0] - 159, 160):
                part = photo[top : top + 160, left : left + 160]
                path = photo_folder / f"{name}_{top}_{left}.jpg"
                Image.fromarray(part).save(path, quality=90)


def make_dataset():
    return keras_capi.data.AugmentedImages(
        photo_folder,
        image_size=64,
        batch_size=batch_size,
        samples_per_image=samples_per_image,
        seed=0,
        workers=2,
    )


dataset = make_dataset()
print(f"{len(dataset.source)} files, {len(dataset)} batches in an epoch")

start = time.perf_counter()
for index in range(2):
    dataset[index]
seconds = time.perf_counter() - start
print(f"one thread prepares {2 * batch_size / seconds:.0f} images a second")

# %% [markdown]
# All devices must get equal shares of every batch. `AugmentedImages` leaves out
# what does not fill a batch, so choose a `batch_size` that the devices divide.
#
# ## The model
#
# The same lines as for one device. `compile` needs no word about compilation:
# on JAX a training step is one program, compiled by XLA in the first step and
# again for each new size of batch or image. `steps_per_execution=10` would put
# ten steps into one program, for devices that wait for Python.
#
# `AugmentedImages` shuffles the images itself. `shuffle=False` keeps Keras from
# shuffling the batches once more, so that the two trainings below are the same.


# %%
def make_model():
    keras.utils.set_random_seed(0)
    backbone = keras_capi.models.CAPIBackbone(
        patch_size=8,
        num_layers=3,
        predictor_num_layers=1,
        hidden_dim=96,
        num_heads=3,
        num_register_tokens=4,
        # On several devices; the other method moves images between them.
        drop_path_method="naive",
        drop_path_rate=0.1,
        image_shape=(64, 64, 3),
        seed=0,
    )
    model = keras_capi.models.CAPI(
        backbone,
        num_clusters=64,
        masking=keras_capi.layers.InverseBlockMasking(
            prediction_ratio=0.5, seed=0
        ),
        ema_momentum=0.98,
    )
    model.compile(
        keras_capi.optimizers.capi_optimizer(
            2e-3,
            total_steps=epochs * len(dataset),
            clustering_learning_rate=1e-2,
        )
    )
    return model


class StepTimes(keras.callbacks.Callback):
    """Notes how long each step takes, with the preparation of its images."""

    def on_train_begin(self, logs=None):
        self.times = [time.perf_counter()]

    def on_train_batch_end(self, batch, logs=None):
        float(logs["loss"])  # JAX goes on while the device computes: wait
        self.times.append(time.perf_counter())


model = make_model()
times = StepTimes()
model.fit(
    make_dataset(), epochs=epochs, callbacks=[times], shuffle=False, verbose=2
)
seconds = np.diff(times.times)
print(
    f"first step {seconds[0]:.1f} s, with its compilation; "
    f"the others {np.median(seconds[1:]) * 1000:.0f} ms"
)

# %% [markdown]
# Each weight is on all devices; a batch is divided among them:

# %%
weight = model.student.trainable_variables[0]
print(f"a weight is on {len(weight.value.sharding.device_set)} devices")
batch = distribution.get_data_layout((batch_size, 64, 64, 3))
print(f"axes of a batch of images: {batch.axes}")

# %% [markdown]
# ## Interruptions
#
# Colab ends a session, a scheduler takes the machine away: start the same
# script again. With `Checkpoint`, `fit` goes on from the last checkpoint, with
# the very images and masks that would have come next. `every=5` saves also
# within an epoch, after each five batches.
#
# To see it, let a callback play the power cut in the middle of the second
# epoch, after the same training has begun anew.


# %%
class PowerCut(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (1, len(dataset) // 2):
            raise KeyboardInterrupt("The power is cut")


def train(callbacks=()):
    """What the script does each time that it is started."""
    model, dataset = make_model(), make_dataset()
    checkpoint = keras_capi.callbacks.Checkpoint(
        run_folder / "checkpoints", dataset, every=5
    )
    # `Checkpoint` is the last, so that it saves what the others did.
    model.fit(
        dataset, epochs=epochs, callbacks=[*callbacks, checkpoint], verbose=2
    )
    return model


try:
    train([PowerCut()])
except KeyboardInterrupt as error:
    print(error)
print("left:", [path.name for path in (run_folder / "checkpoints").iterdir()])

# %% [markdown]
# The name of a checkpoint tells the epoch and the batch to go on with. Now the
# same again, in a new process if it were real, and compare with the training
# that was not interrupted:

# %%
resumed = train()
differences = [
    np.max(np.abs(np.asarray(a) - np.asarray(b)))
    for a, b in zip(model.get_weights(), resumed.get_weights(), strict=True)
]
print(f"largest difference of a weight: {max(differences)}")

# %% [markdown]
# It goes on with the sixth batch of the second epoch (Keras counts "Epoch 2/2"
# for the seven batches left), and ends where the other training ended.
#
# ## Keep it
#
# Files know nothing of devices or backends: this one loads on a laptop, and
# under TensorFlow and torch.

# %%
resumed.save(run_folder / "capi.keras")
print(sorted(path.name for path in run_folder.iterdir()))

# %% [markdown]
# ## On a GPU or a TPU
#
# *Not measured by us.*
#
# - In Colab choose *Runtime > Change runtime type*. JAX is installed there for
#   the accelerator that you choose; elsewhere: `pip install "jax[cuda13]"` or
#   `pip install "jax[tpu]"`.
# - Take a batch of hundreds of images for each device, of 224 pixels, and a
#   backbone of at least 12 blocks, or the device waits for Python.
#   `keras_capi.recipes.propose_settings` proposes clusters, rates and momentum.
# - Memory: `with keras.RematScope("full"):` around the making of the model
#   recomputes activations, and `OnlineClustering(16384, chunk_size=16)` keeps
#   the assignments small.
# - Several machines: `keras.distribution.initialize()` first, in one process on
#   each. `AugmentedImages(..., share=(index, count))` reads a part in each.
