import keras
from keras import ops

from keras_capi import backend
from keras_capi.layers.dense import Dense
from keras_capi.layers.drop_path import DropPath
from keras_capi.layers.drop_path import add_branch
from keras_capi.layers.rms_normalization import RMSNormalization
from keras_capi.layers.rotary_attention import RotaryAttention
from keras_capi.validation import check_number
from keras_capi.validation import check_positive_integer
from keras_capi.validation import check_seed


@keras.saving.register_keras_serializable(package="keras_capi")
class TransformerBlock(keras.layers.Layer):
    """Pre-norm transformer block with rotary attention.

    Adds attention and then a perceptron to its input, each after a root mean
    square norm: `x + attention(norm(x))`, `x + mlp(norm(x))`. With `context`
    the attention is cross-attention only, as in CAPI's predictor. No biases;
    the perceptron has one hidden layer with exact GELU.

    Args:
        num_heads: Integer. Number of attention heads.
        mlp_dim: Integer or `None`. Width of the perceptron's hidden layer;
            `None` is 4 times the width of the inputs. Defaults to `None`.
        drop_path_rate: Float in `[0, 1)`. Share of the samples that skip a
            branch in training. Defaults to `0.0`.
        drop_path_method: `"efficient"` or `"naive"`, see
            `keras_capi.layers.DropPath`. Defaults to `"efficient"`.
        seed: Integer or `None`. Seed of the stochastic depth. Defaults to
            `None`.

    Call arguments:
        inputs: Float tensor of shape `(batch, tokens, width)`.
        coordinates: Float tensor of shape `(batch or 1, tokens, 2)`: row and
            column of each token in `[0, 1]`.
        context: Optional float tensor of shape `(batch, others, any width)`.
        context_coordinates: Coordinates of the tokens of `context`.
        drop_path_sample: Which samples take each of the two branches, from
            `DropPath.sample(batch_size, 2)`. A model of many blocks draws it
            once for all and passes it on. Defaults to a draw of the block's own
            in training.

    Output shape:
        `(batch, tokens, width)`.

    Example:

    >>> tokens = keras.random.normal((2, 6, 32))
    >>> coordinates = keras_capi.ops.patch_coordinates((2, 3))[None]
    >>> block = keras_capi.layers.TransformerBlock(num_heads=4)
    >>> block(tokens, coordinates).shape  # (2, 6, 32)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), appendix A (architecture)
    """

    def __init__(
        self,
        num_heads,
        mlp_dim=None,
        drop_path_rate=0.0,
        drop_path_method="efficient",
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        # Half precision is too coarse for coordinates.
        self.autocast = False
        check_positive_integer("mlp_dim", mlp_dim, or_none=True)
        check_number("drop_path_rate", drop_path_rate, "[0, 1)")
        check_seed("seed", seed)
        self.mlp_dim = mlp_dim
        self.num_heads = num_heads
        self.seed = seed
        self.drop_path_rate = drop_path_rate
        self.drop_path_method = drop_path_method
        self.drop_path = None
        if drop_path_rate:
            self.drop_path = DropPath(
                drop_path_rate, drop_path_method, seed, dtype=self.dtype_policy
            )
        # A `keras.RematScope` is for the block as a whole.
        with keras.RematScope(mode=None):
            self.attention_norm = self._make_norm("attention_norm")
            self.attention = RotaryAttention(
                num_heads, dtype=self.dtype_policy, name="attention"
            )
            self.mlp_norm = self._make_norm("mlp_norm")

    def _make_norm(self, name):
        return RMSNormalization(dtype=self.dtype_policy, name=name)

    def _make_dense(self, units, name):
        return Dense(units, use_bias=False, dtype=self.dtype_policy, name=name)

    def build(
        self,
        inputs_shape,
        coordinates_shape=None,
        context_shape=None,
        context_coordinates_shape=None,
        drop_path_sample_shape=None,
    ):
        width = inputs_shape[-1]
        mlp_dim = self.mlp_dim or 4 * width
        shape = (None, None, width)
        with keras.RematScope(mode=None):
            self.attention_norm.build(shape)
            self.attention.build(shape, context_shape=context_shape)
            self.mlp_norm.build(shape)
            self.mlp_hidden = self._make_dense(mlp_dim, "mlp_hidden")
            self.mlp_hidden.build(shape)
            self.mlp_output = self._make_dense(width, "mlp_output")
            self.mlp_output.build((None, None, mlp_dim))

    @property
    def projections(self):
        """The `keras.layers.Dense` layers, once built."""
        return [*self.attention.projections, self.mlp_hidden, self.mlp_output]

    def call(
        self,
        inputs,
        coordinates,
        context=None,
        context_coordinates=None,
        drop_path_sample=None,
    ):
        def attend(x, *positions_and_context):
            return self.attention(
                self.attention_norm(x), *positions_and_context
            )

        def feed_forward(x):
            hidden = self.mlp_hidden(self.mlp_norm(x))
            return self.mlp_output(backend.gelu(hidden))

        arguments = [coordinates]
        if context is not None:
            arguments += [context, context_coordinates]
        x = ops.cast(inputs, self.compute_dtype)
        if drop_path_sample is None and self.drop_path is not None:
            x = self.drop_path(x, branch=attend, arguments=arguments)
            return self.drop_path(x, branch=feed_forward)
        if drop_path_sample is None:
            drop_path_sample = (None, None)
        x = add_branch(x, attend, arguments, drop_path_sample[0])
        return add_branch(x, feed_forward, (), drop_path_sample[1])

    def rematerialized_call(self, layer_call, *args, **kwargs):
        """Rematerialises the call; TensorFlow's needs tensors, by position."""
        names = ("inputs", "coordinates", "context", "context_coordinates")
        names = (*names, "drop_path_sample")
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        given = {k: v for k, v in given.items() if v is not None}

        def call(*tensors):
            return layer_call(**dict(zip(given, tensors, strict=True)))

        call = super().rematerialized_call(call, *given.values())
        return lambda *args, **kwargs: call(*given.values())

    def compute_output_shape(self, inputs_shape, *args, **kwargs):
        return inputs_shape

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "mlp_dim": self.mlp_dim,
            "drop_path_rate": self.drop_path_rate,
            "drop_path_method": self.drop_path_method,
            "seed": self.seed,
        }
