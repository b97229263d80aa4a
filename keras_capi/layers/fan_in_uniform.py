import math

import keras


def fan_in_uniform(fan_in):
    """Returns the initializer of torch's linear and convolutional layers.

    Uniform between plus and minus `1 / sqrt(fan_in)`. Keras's own initializers
    cannot do this for biases, whose shape does not tell the fan-in.

    Args:
        fan_in: Integer. Number of values that a unit sums.
    """
    bound = 1.0 / math.sqrt(fan_in)
    return keras.initializers.RandomUniform(-bound, bound)
