import math

import keras


def fan_in_uniform(fan_in):
    """Returns the initializer of torch's linear and convolutional layers.

    Uniform, up to one over the root of how many values a unit sums. Keras's own
    cannot tell that of a bias.

    Args:
        fan_in: Integer. How many values a unit sums.
    """
    bound = 1.0 / math.sqrt(fan_in)
    return keras.initializers.RandomUniform(-bound, bound)
