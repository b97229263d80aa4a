"""The published optimizer and schedule."""

from keras_capi.optimizers.capi_optimizer import CAPIOptimizer
from keras_capi.optimizers.capi_optimizer import capi_optimizer
from keras_capi.optimizers.warmup_cosine import WarmupCosine
