"""Adam as Caffe has it, which trained some of the arrays."""

import keras
from keras import ops


class CaffeAdam(keras.optimizers.Adam):
    """Keras's Adam with the decay in the gradient."""

    def _apply_weight_decay(self, variables):
        """Does nothing: the decay is a part of the gradient."""

    # Past the fused update of some backends.
    def _backend_update_step(self, gradients, variables, learning_rate):
        decay = self.weight_decay
        gradients = [
            ops.add(gradient, ops.multiply(decay, variable))
            for gradient, variable in zip(gradients, variables, strict=True)
        ]
        super()._backend_update_step(gradients, variables, learning_rate)
