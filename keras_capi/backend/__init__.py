"""The one place that knows which Keras backend is active.

Everything else in the package is written once, in `keras.ops`. The functions
here do the same on every backend, but need another implementation on some to be
possible (the training step, export) or fast (gathering, the moving average).
"""

from keras_capi.backend.accelerators import has_accelerator
from keras_capi.backend.adamw import fused_adamw
from keras_capi.backend.adamw import gradient_norms
from keras_capi.backend.adamw import have_fused_adamw
from keras_capi.backend.adamw import share_gradients
from keras_capi.backend.attention import attention_weights
from keras_capi.backend.attention import dot_product_attention
from keras_capi.backend.block_compiler import compiled_block
from keras_capi.backend.block_compiler import compiled_blocks
from keras_capi.backend.block_compiler import compiled_function
from keras_capi.backend.block_compiler import num_eager_steps
from keras_capi.backend.compilation_cache import keep_compiled
from keras_capi.backend.compiled import compiled
from keras_capi.backend.convolutions import grouped_convolution
from keras_capi.backend.free_memory import keeps_memory
from keras_capi.backend.free_memory import share_heap
from keras_capi.backend.gathering import add_to_samples
from keras_capi.backend.gathering import split
from keras_capi.backend.gathering import take_rows
from keras_capi.backend.gathering import take_samples
from keras_capi.backend.gathering import take_tokens
from keras_capi.backend.gradients import dense_gradients
from keras_capi.backend.gradients import value_and_gradients
from keras_capi.backend.host import computed_on_host
from keras_capi.backend.host import on_host
from keras_capi.backend.labels import refuse_labels
from keras_capi.backend.listed_weights import listed_weights
from keras_capi.backend.listed_weights import weights_listed_once
from keras_capi.backend.made_numbers import numbers_made_on_device
from keras_capi.backend.moving_average import move_average
from keras_capi.backend.numerics import gelu
from keras_capi.backend.numerics import layer_normalization
from keras_capi.backend.numerics import rms_normalization
from keras_capi.backend.predictions import predict_parts
from keras_capi.backend.predictions import predict_together
from keras_capi.backend.process_group import averaged_gradients
from keras_capi.backend.process_group import check_keras_version
from keras_capi.backend.process_group import check_launched_process
from keras_capi.backend.process_group import check_process_group
from keras_capi.backend.process_group import launched_processes
from keras_capi.backend.process_group import share_variables
from keras_capi.backend.processes import from_first_process
from keras_capi.backend.processes import gather_parts
from keras_capi.backend.processes import global_batch
from keras_capi.backend.products import matrix_product
from keras_capi.backend.products import weighted_sum
from keras_capi.backend.ranking import top_k
from keras_capi.backend.recordings import without_recordings
from keras_capi.backend.recovery import build_optimizer
from keras_capi.backend.recovery import restored_on_error
from keras_capi.backend.replicas import all_reduce
from keras_capi.backend.replicas import all_reduce_with_gradient
from keras_capi.backend.replicas import check_strategy
from keras_capi.backend.replicas import num_processes
from keras_capi.backend.replicas import process_index
from keras_capi.backend.replicas import replica
from keras_capi.backend.seed_generator import SeedGenerator
from keras_capi.backend.this_step import compiled_alike
from keras_capi.backend.training_step import compiled_training
from keras_capi.backend.training_step import train_step
from keras_capi.backend.training_step import with_logs
from keras_capi.backend.tupled_batches import tupled_batches

__all__ = [
    "SeedGenerator",
    "add_to_samples",
    "all_reduce",
    "all_reduce_with_gradient",
    "attention_weights",
    "averaged_gradients",
    "build_optimizer",
    "check_keras_version",
    "check_launched_process",
    "check_process_group",
    "check_strategy",
    "compiled",
    "compiled_alike",
    "compiled_block",
    "compiled_blocks",
    "compiled_function",
    "compiled_training",
    "computed_on_host",
    "dense_gradients",
    "dot_product_attention",
    "from_first_process",
    "fused_adamw",
    "gather_parts",
    "gelu",
    "global_batch",
    "gradient_norms",
    "grouped_convolution",
    "has_accelerator",
    "have_fused_adamw",
    "keep_compiled",
    "keeps_memory",
    "launched_processes",
    "layer_normalization",
    "listed_weights",
    "matrix_product",
    "move_average",
    "num_eager_steps",
    "num_processes",
    "numbers_made_on_device",
    "on_host",
    "predict_parts",
    "predict_together",
    "process_index",
    "refuse_labels",
    "replica",
    "restored_on_error",
    "rms_normalization",
    "share_gradients",
    "share_heap",
    "share_variables",
    "split",
    "take_rows",
    "take_samples",
    "take_tokens",
    "top_k",
    "train_step",
    "tupled_batches",
    "value_and_gradients",
    "weighted_sum",
    "weights_listed_once",
    "with_logs",
    "without_recordings",
]
