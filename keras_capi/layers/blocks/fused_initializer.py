import keras

from keras_capi.layers.blocks.new_initializer import new_initializer


def fused_initializer(initializer, input_dim, output_dims):
    """Returns the initializer of several projections that are one kernel.

    Args:
        initializer: Initializer of the whole, or `None`, which draws each
            projection as Glorot's would draw it alone.
        input_dim: Integer. Width of what is projected.
        output_dims: Tuple of integers. The width of each projection, the same
            for all.
    """
    total = sum(output_dims)
    alone = keras.initializers.VarianceScaling(
        scale=(input_dim + total) / (input_dim + output_dims[0]),
        mode="fan_avg",
        distribution="uniform",
    )
    return new_initializer(initializer, alone)
