"""CAPI (Cluster and Predict Latent Patches) in Keras 3."""

# ruff: noqa: E402
from keras_capi.backend_choice import choose_backend

# Before Keras is imported: then it is too late.
choose_backend()

from keras_capi import callbacks
from keras_capi import convert
from keras_capi import data
from keras_capi import decoders
from keras_capi import encoders
from keras_capi import evaluation
from keras_capi import features
from keras_capi import layers
from keras_capi import methods
from keras_capi import models
from keras_capi import ops
from keras_capi import optimizers
from keras_capi import presets
from keras_capi import recipes
from keras_capi import tasks
from keras_capi import tokenizers
from keras_capi import training
from keras_capi import visualization
from keras_capi.backend import share_heap
from keras_capi.version import __version__

# Before JAX starts its threads, with the first computation.
share_heap()

__all__ = [
    "__version__",
    "callbacks",
    "convert",
    "data",
    "decoders",
    "encoders",
    "evaluation",
    "features",
    "layers",
    "methods",
    "models",
    "ops",
    "optimizers",
    "presets",
    "recipes",
    "tasks",
    "tokenizers",
    "training",
    "visualization",
]
