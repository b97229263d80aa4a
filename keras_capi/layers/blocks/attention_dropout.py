import keras
from keras import ops

from keras_capi.layers.random_state import RandomState
from keras_capi.validation import check_number
from keras_capi.validation import check_seed


@keras.saving.register_keras_serializable(package="keras_capi")
class AttentionDropout(keras.layers.Layer):
    """Dropout of attention weights: tokens ignore some of the others.

    In each head, the weight of each pair of tokens is set to 0 independently
    with probability `rate`; the remaining weights are divided by `1 - rate`.
    The weights of a token then sum to 1 only on average.

    Dropout rules out the fast form of `keras_capi.layers.Attention`, which
    never holds the attention weights in memory. In training it therefore costs
    time, and memory for one number for each pair of tokens in each head.

    Args:
        rate: Float in `[0, 1)`. Probability that a weight is dropped.
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        inputs: Float tensor, the attention weights, of shape `(batch,
            num_heads, tokens, others)`.
        training: Boolean. Nothing is dropped at inference.

    Output shape:
        That of `inputs`.

    Raises:
        ValueError: If `rate` is outside [0, 1).

    Example:

    >>> weights = keras.ops.softmax(keras.random.normal((2, 4, 6, 6)))
    >>> dropout = keras_capi.layers.AttentionDropout(0.1)
    >>> dropout(weights, training=True).shape  # (2, 4, 6, 6)

    Reference:

    - [Srivastava et al., 2014](https://jmlr.org/papers/v15/srivastava14a.html)
    """

    def __init__(self, rate, seed=None, **kwargs):
        # Rematerialisation would draw different samples in the backward pass.
        with keras.RematScope(mode=None):
            super().__init__(**kwargs)
        check_number("rate", rate, "[0, 1)")
        check_seed("seed", seed)
        self.rate = rate
        self.seed = seed
        self.random_state = RandomState(seed) if rate else None
        self.built = True

    def sample(self, shape):
        """Draws which weights are kept.

        Args:
            shape: Tuple `(batch, num_heads, tokens, others)`, of integers or
                integer scalar tensors.

        Returns:
            Float32 tensor of that shape: the factor for each weight, 0 or `1 /
            (1 - rate)`. `None` if `rate` is 0.
        """
        if self.random_state is None:
            return None
        uniform = self.random_state.uniform_of_replica(shape)
        return ops.cast(uniform >= self.rate, "float32") / (1.0 - self.rate)

    def call(self, inputs, training=None):
        if not training or not self.rate:
            return inputs
        dropped = ops.multiply(inputs, self.sample(ops.shape(inputs)))
        return ops.cast(dropped, inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
