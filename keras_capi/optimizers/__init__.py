"""The published optimizer and schedule, and two for the tasks after it."""

from keras_capi.optimizers.capi_multi_optimizer import CAPIOptimizer
from keras_capi.optimizers.capi_optimizer import capi_optimizer
from keras_capi.optimizers.grid_adamw import GridAdamW
from keras_capi.optimizers.layer_decay_adamw import LayerDecayAdamW
from keras_capi.optimizers.warmup_cosine import WarmupCosine

__all__ = [
    "CAPIOptimizer",
    "GridAdamW",
    "LayerDecayAdamW",
    "WarmupCosine",
    "capi_optimizer",
]
