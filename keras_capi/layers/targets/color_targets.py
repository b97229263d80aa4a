import keras
import numpy as np
from keras import ops

from keras_capi.layers.add_state import add_state
from keras_capi.ops.collectives import all_reduce_sum
from keras_capi.ops.colors.color_bins import color_bins
from keras_capi.ops.colors.color_codes import encode_colors
from keras_capi.ops.colors.color_codes import rebalancing_weights
from keras_capi.validation import check_non_negative
from keras_capi.validation import check_number
from keras_capi.validation import check_positive
from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class ColorTargets(keras.layers.Layer):
    """Turns colours into soft classes to predict, and weights for the loss.

    Each colour is spread over the nearest bins of a grid of colours. Pixels
    with rare colours get a higher weight, and those of images without colours a
    weight of 0.

    How often each bin occurs is counted in training, as the mean over all
    batches so far and an initial uniform one. Images without colours are left
    out.

    Args:
        bins: Array-like of shape `(bins, 2)`, a and b of CIE Lab, or `None` for
            the published 313, see `keras_capi.ops.color_bins`. Defaults to
            `None`.
        num_neighbors: Integer. Number of bins that each colour is spread over.
            Defaults to `10`, as in the authors' code; the paper has 5.
        deviation: Float. Width of the spreading, see
            `keras_capi.ops.encode_colors`. Defaults to `5.0`.
        prior: Array-like of shape `(bins,)`: how often bins occur, in any unit.
            `None` counts them in training. Defaults to `None`.
        mixing: Float in `[0, 1]`, see `keras_capi.ops.rebalancing_weights`.
            Defaults to `0.5`.
        power: Float, not negative, likewise. Defaults to `1.0`.
        gray_threshold: Float, not negative. An image counts as coloured if a or
            b of any pixel is farther from 0 than this. Defaults to `5.0`.

    Call arguments:
        colors: Float tensor of shape `(batch, rows, columns, 2)`.
        training: Boolean. Whether to count the bins.

    Output shape:
        Tuple of three tensors: the indices of the bins, int32, and their
        shares, float32, both of shape `(batch, rows, columns, num_neighbors)`;
        and the weights of the pixels, float32, of shape `(batch, rows,
        columns)`.

    Raises:
        ValueError: If an argument is out of range, or does not fit the others.

    Example:

    >>> targets = keras_capi.layers.ColorTargets(num_neighbors=5)
    >>> colors = keras.random.uniform((2, 8, 8, 2), -50.0, 50.0)
    >>> indices, shares, weights = targets(colors, training=True)
    >>> indices.shape  # (2, 8, 8, 5)
    >>> weights.shape  # (2, 8, 8)

    Reference:

    - [Colorful image colorization](https://arxiv.org/abs/1603.08511), sections
      2.1 and 2.2
    """

    def __init__(
        self,
        bins=None,
        num_neighbors=10,
        deviation=5.0,
        prior=None,
        mixing=0.5,
        power=1.0,
        gray_threshold=5.0,
        **kwargs,
    ):
        # If a `keras.RematScope` recomputed it, it would count twice; half
        # precision would round colours.
        with keras.RematScope(mode=None):
            super().__init__(autocast=False, **kwargs)
        self.bins = _check_bins(bins)
        check_positive_integer("num_neighbors", num_neighbors)
        if num_neighbors > self.num_bins:
            raise ValueError(
                "`num_neighbors` must not be above the number of bins. "
                f"Received: num_neighbors={num_neighbors}, {self.num_bins} bins"
            )
        check_positive("deviation", deviation)
        check_number("mixing", mixing, "[0, 1]")
        check_non_negative("power", power)
        check_non_negative("gray_threshold", gray_threshold)
        self.num_neighbors = num_neighbors
        self.deviation = deviation
        self.prior = _check_prior(prior, self.num_bins)
        self.mixing = mixing
        self.power = power
        self.gray_threshold = gray_threshold
        self.shares = add_state(
            self, "shares", (self.num_bins,), initializer=self._start
        )
        self.num_batches = add_state(
            self, "num_batches", (), initializer="ones"
        )
        self.built = True

    def _start(self, shape, dtype):
        start = np.array(self.prior or [1.0] * self.num_bins)
        return ops.convert_to_tensor(start / start.sum(), dtype)

    @property
    def num_bins(self):
        return len(self.bins)

    def call(self, colors, training=None):
        indices, shares = encode_colors(
            colors, np.array(self.bins), self.num_neighbors, self.deviation
        )
        distances = ops.max(ops.abs(colors), axis=(1, 2, 3))
        has_colors = ops.cast(distances > self.gray_threshold, "float32")
        if training and self.prior is None:
            self._count(indices, shares * has_colors[:, None, None, None])
        weights = rebalancing_weights(
            ops.convert_to_tensor(self.shares), self.mixing, self.power
        )
        # The weight is that of the nearest bin.
        weights = ops.take(weights, indices, axis=0)[..., 0]
        return indices, shares, weights * has_colors[:, None, None]

    def _count(self, indices, shares):
        # `segment_sum` would make torch wait for the GPU.
        sums = ops.scatter_update(
            ops.zeros((self.num_bins,), "float32"),
            ops.reshape(indices, (-1, 1)),
            ops.reshape(shares, (-1,)),
            reduction="add",
        )
        sums = all_reduce_sum(sums)
        total = ops.sum(sums)
        has_any = total > 0
        num_batches = self.num_batches + ops.cast(has_any, "float32")
        change = (sums / ops.maximum(total, 1.0) - self.shares) / num_batches
        self.shares.assign(self.shares + ops.where(has_any, change, 0.0))
        self.num_batches.assign(num_batches)

    def compute_output_spec(self, colors, training=None):
        shape = (*colors.shape[:-1], self.num_neighbors)
        return (
            keras.KerasTensor(shape, "int32"),
            keras.KerasTensor(shape, "float32"),
            keras.KerasTensor(shape[:-1], "float32"),
        )

    def get_config(self):
        return {
            **super().get_config(),
            "bins": self.bins,
            "num_neighbors": self.num_neighbors,
            "deviation": self.deviation,
            "prior": self.prior,
            "mixing": self.mixing,
            "power": self.power,
            "gray_threshold": self.gray_threshold,
        }


def _check_bins(bins):
    """Returns bins as a list of pairs, or raises."""
    bins = np.asarray(color_bins() if bins is None else bins, "float64")
    if bins.ndim != 2 or bins.shape[1] != 2 or not np.isfinite(bins).all():
        raise ValueError(
            "`bins` must be finite, of shape (bins, 2). "
            f"Received: bins of shape {bins.shape}"
        )
    return bins.tolist()


def _check_prior(prior, num_bins):
    """Returns a prior as a list, or `None`, or raises."""
    if prior is None:
        return None
    prior = np.asarray(prior, "float64")
    # Without mixing, a bin that never occurs would get an infinite weight.
    is_valid = np.isfinite(prior) & (prior > 0)
    if prior.shape != (num_bins,) or not is_valid.all():
        raise ValueError(
            "`prior` must have a value above 0, and finite, for each bin. "
            f"Received: shape {prior.shape}, {num_bins} bins"
        )
    return prior.tolist()
