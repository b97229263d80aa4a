import keras
import numpy as np
from keras import ops

from keras_capi.layers.random_state import RandomState
from keras_capi.ops import stochastic_depth
from keras_capi.validation import check_choice
from keras_capi.validation import check_each
from keras_capi.validation import check_number
from keras_capi.validation import check_seed

METHODS = ("efficient", "naive")


@keras.saving.register_keras_serializable(package="keras_capi")
class DropPath(keras.layers.Layer):
    """Stochastic depth: skips a residual branch for random samples.

    A strong regulariser for deep residual networks. There are two methods,
    which have the same expected value:

    - `"efficient"`: exactly `max(int(batch * (1 - rate)), 1)` samples take the
      branch, which is scaled by `batch / kept`. If the branch is given as a
      function, it is not computed for the other samples, which saves that share
      of the time.
    - `"naive"`: each sample takes the branch with probability `1 - rate`, and
      the branch is scaled by `1 / (1 - rate)`.

    Drawing random numbers is slow on some backends. `sample` draws those of
    many branches at once; `keras_capi.models.RotaryViT` uses it for its blocks.

    Args:
        rate: Float in `[0, 1)`. Share of the samples that skip the branch.
        method: `"efficient"` or `"naive"`. Defaults to `"efficient"`.
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        inputs: Tensor of shape `(batch, ...)`. With `branch`, the input of the
            branch, to which its output is added; without, the output of a
            branch.
        branch: Optional function or layer that maps samples of `inputs` to
            residuals of the same shape.
        arguments: Sequence of further tensors that `branch` takes, of shape
            `(batch, ...)`, or `(1, ...)` if all samples share one.
        training: Boolean. Nothing is skipped at inference.

    Output shape:
        That of `inputs`. With `branch`, the output is `inputs +
        branch(inputs)`; without, it is the scaled branch alone.

    Raises:
        ValueError: If `rate` is outside [0, 1) or `method` is unknown.

    Example:

    >>> dense = keras.layers.Dense(8)
    >>> x = keras.random.normal((4, 8))
    >>> y = x + keras_capi.layers.DropPath(0.5)(dense(x), training=True)
    >>> y = keras_capi.layers.DropPath(0.5)(x, branch=dense, training=True)

    Reference:

    - [Huang et al., 2016](https://arxiv.org/abs/1603.09382)
    - [DINOv2](https://arxiv.org/abs/2304.07193), section 5 (efficient form)
    """

    def __init__(self, rate, method="efficient", seed=None, **kwargs):
        # Rematerialisation would draw different samples in the backward pass.
        with keras.RematScope(mode=None):
            super().__init__(**kwargs)
        check_number("rate", rate, "[0, 1)")
        check_seed("seed", seed)
        check_choice("method", method, METHODS)
        self.rate = rate
        self.method = method
        self.seed = seed
        self.random_state = RandomState(seed) if rate else None
        self.built = True

    def sample(self, batch_size, num_branches=1, rates=None):
        """Draws which samples take each of several branches, in one draw.

        Args:
            batch_size: Integer or integer scalar tensor.
            num_branches: Integer. Defaults to `1`.
            rates: Optional sequence of floats in `[0, 1)`: one rate for each
                branch in place of `rate`, for example growing with the depth.
                Only with `method="naive"`. Defaults to `None`.

        Returns:
            Tensor whose first axis is the branch. With `method="efficient"`,
            the indices of the samples that take it, int32 of shape
            `(num_branches, kept)`. With `method="naive"`, the scale of each
            sample, float32 of shape `(num_branches, batch)`. `None` if `rate`
            is 0.
        """
        if rates is not None and self.method != "naive":
            raise ValueError(
                '`rates` of their own for branches need `method="naive"`. '
                f"Received: rates={rates}, method={self.method}"
            )
        if rates is not None:
            rates = check_each("rates", rates, check_number, "[0, 1)")
            if len(rates) != num_branches:
                raise ValueError(
                    "`rates` must be one for each branch. Received: "
                    f"rates={rates}, num_branches={num_branches}"
                )
        if self.random_state is None:
            return None
        uniform = self.random_state.uniform(
            (num_branches, batch_size), batch_axis=1
        )
        if self.method == "naive":
            rates = self.rate if rates is None else rates
            rates = ops.reshape(ops.cast(rates, "float32"), (-1, 1))
            return ops.cast(uniform >= rates, "float32") / (1.0 - rates)
        kept = stochastic_depth.num_kept(batch_size, self.rate)
        return ops.cast(ops.argsort(uniform, axis=-1)[:, :kept], "int32")

    def rates_by_depth(self, num_blocks):
        """Returns a rate for each block, growing linearly with the depth.

        Args:
            num_blocks: Integer.

        Returns:
            List of floats from 0 to `rate`, or `None` if `method="efficient"`,
            which has one rate for all blocks.
        """
        if self.method == "efficient":
            return None
        return np.linspace(0.0, self.rate, num_blocks).tolist()

    def call(self, inputs, branch=None, arguments=(), training=None):
        sample = None
        if training and self.rate:
            sample = self.sample(ops.shape(inputs)[0])[0]
        if branch is not None:
            return add_branch(inputs, branch, arguments, sample)
        if sample is None:
            return inputs
        return add_branch(
            ops.zeros_like(inputs),
            lambda zeros, residual: residual,
            [inputs],
            sample,
        )

    def compute_output_shape(self, input_shape, *args, **kwargs):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "rate": self.rate,
            "method": self.method,
            "seed": self.seed,
        }


def add_branch(x, branch, arguments, sample):
    """Adds a residual branch for the samples that take it.

    Args:
        x: Tensor of shape `(batch, ...)`.
        branch: Function of `x` and `arguments`.
        arguments: Sequence of further tensors that the branch takes.
        sample: One row of the result of `DropPath.sample`, or `None` if all
            samples take the branch.

    Returns:
        Tensor of the shape of `x`.
    """
    if sample is None:
        return x + branch(x, *arguments)
    if keras.backend.is_float_dtype(sample.dtype):
        return stochastic_depth.add_to_all(x, branch, arguments, sample)
    return stochastic_depth.add_to_subset(x, branch, arguments, sample)
