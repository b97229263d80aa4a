"""Options of transformer blocks: norms, activations, scaled branches."""

from keras_capi import backend
from keras_capi.layers.blocks.attention import Attention
from keras_capi.layers.blocks.dense import Dense
from keras_capi.layers.blocks.layer_scale import LayerScale
from keras_capi.layers.blocks.new_initializer import new_initializer
from keras_capi.layers.blocks.rotary_attention import RotaryAttention
from keras_capi.layers.norms.layer_normalization import LayerNormalization
from keras_capi.layers.norms.rms_normalization import RMSNormalization
from keras_capi.layers.related_seed import related_seed
from keras_capi.ops.quick_gelu import quick_gelu
from keras_capi.ops.swiglu import swiglu
from keras_capi.validation import check_choice
from keras_capi.validation import check_number

NORMALIZATIONS = {
    "layer": LayerNormalization,
    "rms": RMSNormalization,
}
ACTIVATIONS = {
    "gelu": backend.gelu,
    "quick_gelu": quick_gelu,
    "swiglu": swiglu,
}


def check_block_parts(normalization, activation, layer_scale):
    """Raises a `ValueError` if an option of a block is unknown.

    Args:
        normalization: See `keras_capi.layers.TransformerBlock`.
        activation: Likewise.
        layer_scale: Likewise.
    """
    check_choice("normalization", normalization, NORMALIZATIONS)
    check_choice("activation", activation, ACTIVATIONS)
    if layer_scale is not None:
        check_number("layer_scale", layer_scale)


def make_attention(block):
    """Returns the attention layer that a block's arguments describe.

    Args:
        block: `keras_capi.layers.TransformerBlock`.
    """
    arguments = {
        "kernel_initializer": block.kernel_initializer,
        "attention_dropout_rate": block.attention_dropout_rate,
        # Must differ from the seed of stochastic depth.
        "seed": related_seed(block.seed, 1),
        "causal": block.causal,
        "dtype": block.dtype_policy,
        "name": "attention",
    }
    if block.rotary:
        return RotaryAttention(block.num_heads, **arguments)
    return Attention(
        block.num_heads, block.use_bias, block.use_key_bias, **arguments
    )


def make_dense(block, units, name):
    """Returns a linear layer of a block's MLP.

    Args:
        block: `keras_capi.layers.TransformerBlock`.
        units: Integer. Width of the output.
        name: String.
    """
    return Dense(
        units,
        use_bias=block.use_bias,
        kernel_initializer=new_initializer(
            block.kernel_initializer, "glorot_uniform"
        ),
        dtype=block.dtype_policy,
        name=name,
    )


def make_norm(normalization, name, dtype):
    """Returns a layer that normalises tokens.

    Args:
        normalization: String, one of `NORMALIZATIONS`.
        name: String.
        dtype: Dtype policy.
    """
    return NORMALIZATIONS[normalization](dtype=dtype, name=name)


def make_scale(layer_scale, name, dtype):
    """Returns a layer that scales a residual branch, or `None`.

    Args:
        layer_scale: Float, the initial value of its factors, or `None`.
        name: String.
        dtype: Dtype policy.
    """
    if layer_scale is None:
        return None
    return LayerScale(layer_scale, dtype=dtype, name=name)


def scale(x, layer):
    """Applies to a branch the layer that `make_scale` returned."""
    return x if layer is None else layer(x)


def hidden_sizes(activation, mlp_dim, width):
    """Returns the widths of an MLP's hidden layer, around the activation.

    Args:
        activation: String, one of `ACTIVATIONS`.
        mlp_dim: Integer, the width after the activation, or `None`: four times
            the width of the tokens. With a gate, which adds weights of its own,
            `None` is two thirds of that, rounded up to a multiple of 8.
        width: Integer. The width of the tokens.

    Returns:
        Tuple of two integers: the widths before and after the activation.
    """
    if activation != "swiglu":
        mlp_dim = mlp_dim or 4 * width
        return mlp_dim, mlp_dim
    mlp_dim = mlp_dim or -(-(8 * width // 3) // 8) * 8
    return 2 * mlp_dim, mlp_dim


def rematerialized(rematerialize, layer_call, arguments):
    """Rematerialises a call by name; TensorFlow's takes tensors, by position.

    Args:
        rematerialize: Keras's `rematerialized_call` of the layer.
        layer_call: The layer's `call`.
        arguments: Dictionary of the tensors it is called with, and `None`.

    Returns:
        Function to call like `layer_call`, with the same arguments.
    """
    given = {k: v for k, v in arguments.items() if v is not None}

    @backend.compiled_alike
    @backend.without_recordings()
    def call(*tensors):
        return layer_call(**dict(zip(given, tensors, strict=True)))

    run = rematerialize(call, *given.values())
    if run is call:  # The layer was made in a `keras.RematScope(mode=None)`.
        return layer_call
    return lambda *args, **kwargs: run(*given.values())
