"""The published optimizer and schedule, and one for fine-tuning."""

from keras_capi.optimizers.capi_optimizer import CAPIOptimizer
from keras_capi.optimizers.capi_optimizer import capi_optimizer
from keras_capi.optimizers.layer_decay_adamw import LayerDecayAdamW
from keras_capi.optimizers.warmup_cosine import WarmupCosine
