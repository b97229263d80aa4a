import keras
from keras import ops

from keras_capi.ops.collectives import all_reduce_sum
from keras_capi.ops.collectives import sum_with_gradient


@keras.saving.register_keras_serializable(package="keras_capi")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's `BatchNormalization`, synchronised across all devices.

    Keras synchronises the statistics on TensorFlow only. Where samples are
    compared with each other, statistics must not reveal which samples share a
    device: the network would learn that instead.

    The last axis is the channel axis.

    Args:
        momentum: Float. Momentum of the moving statistics: the share that an
            update keeps. Defaults to `0.9`.
        epsilon: Float. Added to the variance. Defaults to `1e-5`.
        center: Boolean. Whether to add a learnt offset. Defaults to `True`.
        scale: Boolean. Whether to multiply by a learnt scale. Defaults to
            `True`.
        unbiased: Boolean. Whether the moving variance is updated with the
            unbiased variance, which divides by `n - 1`, as in torch.
            Normalisation by the batch divides by `n` in any case. Defaults to
            `False`, as in Keras.
        **kwargs: Other arguments of `keras.layers.Layer`.

    Input and output shape:
        `(..., channels)`. Statistics are computed in float32 over all axes but
        the last.
    """

    def __init__(
        self,
        momentum=0.9,
        epsilon=1e-5,
        center=True,
        scale=True,
        unbiased=False,
        **kwargs,
    ):
        # If a `keras.RematScope` recomputed it, the statistics would move
        # twice.
        with keras.RematScope(mode=None):
            super().__init__(
                momentum=momentum,
                epsilon=epsilon,
                center=center,
                scale=scale,
                **kwargs,
            )
        self.unbiased = unbiased

    def call(self, inputs, training=None):
        if not (training and self.trainable):
            return super().call(inputs, training=False)
        x = ops.cast(inputs, "float32")
        axes = tuple(range(len(inputs.shape) - 1))
        count = all_reduce_sum(ops.cast(ops.size(x[..., 0]), "float32"))
        mean = sum_with_gradient(ops.sum(x, axis=axes)) / count
        # The mean is subtracted first: a difference of squares would lose
        # digits.
        x = x - mean
        variance = sum_with_gradient(ops.sum(ops.square(x), axis=axes)) / count
        correction = 1.0
        if self.unbiased:
            correction = count / ops.maximum(count - 1.0, 1.0)
        for moving, value in (
            (self.moving_mean, mean),
            (self.moving_variance, variance * correction),
        ):
            value = ops.stop_gradient(value)
            moving.assign(moving * self.momentum + value * (1 - self.momentum))
        factor = ops.rsqrt(variance + self.epsilon)
        if self.scale:
            factor = factor * self.gamma
        x = x * factor
        if self.center:
            x = x + self.beta
        return ops.cast(x, self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "unbiased": self.unbiased}
