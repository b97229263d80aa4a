"""Gradient descent as torch has it, which trained some of the arrays."""

import keras
from keras import ops


class SGD(keras.optimizers.SGD):
    """Keras's with torch's decay and momentum.

    torch adds the decay to the gradient, and multiplies by the rate last; Keras
    keeps the rates of earlier steps in its momentum.
    """

    def _apply_weight_decay(self, variables):
        """Does nothing: the decay is a part of the gradient."""

    def update_step(self, gradient, variable, learning_rate):
        if self.weight_decay:
            gradient = ops.add(gradient, self.weight_decay * variable)
        if self.momentum:
            velocity = self.momentums[self._get_variable_index(variable)]
            self.assign(velocity, ops.add(self.momentum * velocity, gradient))
            if self.nesterov:
                gradient = ops.add(gradient, self.momentum * velocity)
            else:
                gradient = velocity
        self.assign_sub(variable, ops.multiply(learning_rate, gradient))
