"""The methods' published optimizers and schedules."""

from keras_capi.optimizers.adamw import AdamW
from keras_capi.optimizers.capi_optimizer import CAPIOptimizer
from keras_capi.optimizers.capi_optimizer import capi_optimizer
from keras_capi.optimizers.epoch_warmup import EpochWarmup
from keras_capi.optimizers.group import Group
from keras_capi.optimizers.larc import LARC
from keras_capi.optimizers.lars import LARS
from keras_capi.optimizers.late_warmup import LateWarmup
from keras_capi.optimizers.layer_decay_adamw import LayerDecayAdamW
from keras_capi.optimizers.sgd import SGD
from keras_capi.optimizers.warmup_cosine import WarmupCosine

__all__ = [
    "AdamW",
    "CAPIOptimizer",
    "EpochWarmup",
    "Group",
    "LARC",
    "LARS",
    "LateWarmup",
    "LayerDecayAdamW",
    "SGD",
    "WarmupCosine",
    "capi_optimizer",
]
