import re

import keras
from keras import ops

from keras_capi.optimizers.learning_rates import as_rate
from keras_capi.optimizers.learning_rates import check_moments
from keras_capi.validation import check_non_negative
from keras_capi.validation import check_number
from keras_capi.validation import check_positive_integer

FIRST = re.compile(r"(^|/)(patch_embedding|register_tokens)/")
BLOCK = re.compile(r"(^|/)encoder/block_(\d+)/")
PREDICTOR = re.compile(r"(^|/)predictor/")


@keras.saving.register_keras_serializable(package="keras_capi")
class LayerDecayAdamW(keras.optimizers.AdamW):
    """AdamW that changes early layers of a backbone less than late ones.

    For fine-tuning: early layers know what images are like in general, late
    ones have to learn the task. A block has `layer_decay` times the learning
    rate of the block behind it; the head has the full one, the patch embedding
    the smallest, and the predictor that of the last block. Weight decay is for
    matrices only, not for biases, norm scales and tokens.

    Args:
        learning_rate: Float or schedule, of the head. Defaults to `1e-3`.
        num_layers: Integer. Blocks of the encoder,
            `backbone.encoder.num_layers`.
        layer_decay: Float in `(0, 1]`. Defaults to `0.75`.
        weight_decay: Float. Defaults to `0.05`.
        beta_1: Float. Defaults to `0.9`.
        beta_2: Float. Defaults to `0.999`.
        epsilon: Float. Defaults to `1e-8`.
        **kwargs: Other arguments of `keras.optimizers.AdamW`.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> classifier.compile(
    ...     keras_capi.optimizers.LayerDecayAdamW(
    ...         1e-3, num_layers=classifier.backbone.encoder.num_layers
    ...     ),
    ...     keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    ... )

    Reference:

    - [BEiT](https://arxiv.org/abs/2106.08254), appendix (fine-tuning)
    """

    def __init__(
        self,
        learning_rate=1e-3,
        num_layers=24,
        layer_decay=0.75,
        weight_decay=0.05,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        **kwargs,
    ):
        check_positive_integer("num_layers", num_layers)
        check_number("layer_decay", layer_decay, "(0, 1]")
        check_non_negative("weight_decay", weight_decay)
        check_moments(beta_1, beta_2, epsilon)
        super().__init__(
            learning_rate=as_rate("learning_rate", learning_rate),
            weight_decay=weight_decay,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            **kwargs,
        )
        self.num_layers = num_layers
        self.layer_decay = layer_decay

    def learning_rate_multiplier(self, path):
        """Returns the factor of the learning rate for a variable's path."""
        block = BLOCK.search(path)
        if block:
            distance = self.num_layers - int(block[2])
        elif FIRST.search(path):
            distance = self.num_layers + 1
        else:
            distance = 1 if PREDICTOR.search(path) else 0
        return self.layer_decay**distance

    def build(self, variables):
        # Now, as an update sees the backend's variables, which have no path.
        self._check_num_layers([variable.path for variable in variables])
        self._multipliers = [
            self.learning_rate_multiplier(variable.path)
            for variable in variables
        ]
        super().build(variables)

    def _check_num_layers(self, paths):
        found = [int(x[2]) + 1 for x in map(BLOCK.search, paths) if x]
        if found and max(found) != self.num_layers:
            raise ValueError(
                "`num_layers` must be that of the encoder, "
                "`backbone.encoder.num_layers`. Received: "
                f"num_layers={self.num_layers} for {max(found)} blocks"
            )

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        rate = learning_rate * self._multipliers[index]
        if self.weight_decay and len(variable.shape) > 1:
            decay = ops.cast(rate * self.weight_decay, variable.dtype)
            self.assign_sub(variable, variable * decay)
        super().update_step(gradient, variable, rate)

    def _apply_weight_decay(self, variables):
        """Does nothing: the decay depends on the layer, see `update_step`."""

    def get_config(self):
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "layer_decay": self.layer_decay,
        }
