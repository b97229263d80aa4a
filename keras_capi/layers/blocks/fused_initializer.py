import keras

from keras_capi.layers.blocks.new_initializer import new_initializer


def fused_initializer(initializer, input_dim, output_dims):
    """Returns an initializer for several projections fused into one kernel.

    Args:
        initializer: Initializer of the whole kernel, or `None` for Glorot
            uniform, with the bound that each projection would have by itself.
        input_dim: Integer. Width of the input.
        output_dims: Tuple of integers. The widths of the projections, which
            must all be equal.
    """
    total = sum(output_dims)
    alone = keras.initializers.VarianceScaling(
        scale=(input_dim + total) / (input_dim + output_dims[0]),
        mode="fan_avg",
        distribution="uniform",
    )
    return new_initializer(initializer, alone)
