import itertools
import math

import keras
from keras import ops

from keras_capi import backend
from keras_capi.layers.add_state import add_state
from keras_capi.layers.related_seed import related_seed
from keras_capi.ops.collectives import all_reduce_sum
from keras_capi.ops.collectives import average_tensors
from keras_capi.ops.collectives import share_of_batch
from keras_capi.ops.collectives import sum_with_gradient
from keras_capi.ops.losses.binary_cross_entropy import binary_cross_entropy
from keras_capi.validation import check_each
from keras_capi.validation import check_number
from keras_capi.validation import check_positive
from keras_capi.validation import check_positive_integer
from keras_capi.validation import check_seed

KERNEL_SIZE = 4
# Standard deviation of the initial weights.
DEVIATION = 0.02
NEGATIVE_SLOPE = 0.2
NORM_EPSILON = 1e-5
# The published filters of the last four levels. Larger images need further
# levels before these, with as many filters as the first of them.
FILTERS = (64, 128, 256, 512)


@keras.saving.register_keras_serializable(package="keras_capi")
class Discriminator(keras.layers.Layer):
    """Tells real images from generated ones; trains itself by `learn`.

    The second half of adversarial training. The generator is trained to get
    high scores for its images; the discriminator learns to score real images
    high and generated ones low. Call `learn` within the generator's training
    step, before scoring the generated images. It updates the discriminator with
    an Adam of its own. To everything else its weights are constants: they count
    as not trainable, so that no other optimizer sees them. One training step
    thus trains both networks, one after the other, on every backend.

    The network has 4 x 4 convolutions that halve the image until it has about 4
    x 4 pixels (at least 4 and less than 8 along the shorter side), and a last
    one of the size of what remains. Batch normalisation is over all devices,
    separately for real and generated images; there are no running statistics,
    as the discriminator is not used after training. Always computes in float32.

    Args:
        filters: Sequence of integers, the number of filters of each level.
            `None` is as published: 64, 128, 256 and 512 in the last four, and
            64 in those before. Images too small for four levels use the first
            of these. Defaults to `None`.
        learning_rate: Float. Learning rate of Adam. Defaults to `2e-4`.
        beta_1: Float. Of Adam. Defaults to `0.5`.
        beta_2: Float. Of Adam. Defaults to `0.999`.
        epsilon: Float. Of Adam, added to the root of the second moment before
            bias correction. Defaults to `1e-8`.
        seed: Integer or `None`. Seed of the initial weights. Defaults to
            `None`.

    Call arguments:
        images: Float tensor of shape `(batch, height, width, channels)`. The
            size must be the same in all calls.

    Output shape:
        `(batch,)`: probabilities that images are real, in float32.

    Raises:
        ValueError: If an argument is out of range, if there are too many
            levels, or if the images do not have the size of the first call.

    Example:

    >>> discriminator = keras_capi.layers.Discriminator(filters=(8, 16))
    >>> real, made = keras.random.normal((2, 4, 16, 16, 3))
    >>> scores = discriminator(made)
    >>> loss = discriminator.learn(real, made)

    Reference:

    - [DCGAN](https://arxiv.org/abs/1511.06434), section 3
    - [Context encoders](https://arxiv.org/abs/1604.07379), section 3.2
    """

    def __init__(
        self,
        filters=None,
        learning_rate=2e-4,
        beta_1=0.5,
        beta_2=0.999,
        epsilon=1e-8,
        seed=None,
        **kwargs,
    ):
        # If a `keras.RematScope` recomputed it, it would learn twice.
        with keras.RematScope(mode=None):
            super().__init__(**kwargs)
        if filters is not None:
            filters = check_each("filters", filters, check_positive_integer)
        check_number("learning_rate", learning_rate, "[0, inf)")
        check_number("beta_1", beta_1, "[0, 1)")
        check_number("beta_2", beta_2, "[0, 1)")
        check_positive("epsilon", epsilon)
        check_seed("seed", seed)
        self.filters = filters
        self.learning_rate = learning_rate
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.seed = seed
        self.autocast = False

    def build(self, images_shape):
        if len(images_shape) != 4 or None in images_shape[1:]:
            raise ValueError(
                "`images` must have the shape (batch, height, width, "
                "channels), of which only the batch may be unknown. Received: "
                f"images.shape={tuple(images_shape)}"
            )
        height, width, channels = self.images_shape = tuple(images_shape[1:])
        levels = int(math.log2(max(min(height, width) / KERNEL_SIZE, 1)))
        filters = self.filters
        if filters is None:
            extra = max(levels - len(FILTERS), 0)
            filters = (FILTERS[0],) * extra + FILTERS[:levels]
        rest = (height >> len(filters), width >> len(filters))
        if 0 in rest:
            raise ValueError(
                "`filters` must not halve the images more often than they can "
                f"be. Received: filters={filters}, images of {height} x "
                f"{width} pixels"
            )
        widths = (channels, *filters)
        shapes = [
            *(
                (KERNEL_SIZE, KERNEL_SIZE, *x)
                for x in itertools.pairwise(widths)
            ),
            (*rest, widths[-1], 1),
        ]
        norms = [(count,) for count in filters[1:]]
        self.kernels = self._add_states("kernel", shapes, mean=0.0)
        self.scales = self._add_states("scale", norms, mean=1.0)
        self.shifts = self._add_states("shift", norms)
        shapes = [variable.shape for variable in self.learnt]
        self.momentums = self._add_states("momentum", shapes)
        self.velocities = self._add_states("velocity", shapes)
        (self.num_updates,) = self._add_states("num_updates", [()])

    def _add_states(self, name, shapes, mean=None):
        """Adds variables: normal around a mean, or zero without one."""
        return [
            add_state(
                self,
                f"{name}_{i}",
                shape,
                initializer="zeros"
                if mean is None
                else keras.initializers.RandomNormal(
                    mean, DEVIATION, related_seed(self.seed, len(self.weights))
                ),
            )
            for i, shape in enumerate(shapes)
        ]

    @property
    def learnt(self):
        """List of the variables that `learn` trains."""
        return [*self.kernels, *self.scales, *self.shifts]

    def call(self, images):
        return self._score(images, self._values())

    def _values(self):
        return [ops.convert_to_tensor(variable) for variable in self.learnt]

    def _score(self, images, values):
        if tuple(images.shape[1:]) != self.images_shape:
            raise ValueError(
                "Images must have the size that the discriminator was built "
                f"for, {self.images_shape}. Received: shape "
                f"{tuple(images.shape)}"
            )
        count = len(self.kernels)
        *kernels, last = values[:count]
        scales, shifts = values[count:][: count - 2], values[2 * count - 2 :]
        x = ops.cast(images, "float32")
        for i, kernel in enumerate(kernels):
            x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
            x = ops.conv(x, kernel, 2, "valid", data_format="channels_last")
            if i > 0:
                x = _batch_normalize(x, scales[i - 1], shifts[i - 1])
            x = ops.leaky_relu(x, NEGATIVE_SLOPE)
        logits = ops.tensordot(x, last[..., 0], axes=3)
        return ops.sigmoid(logits)

    def compute_loss(self, real, made):
        """Returns the loss of the scores of real and generated images.

        Args:
            real: Float tensor of shape `(batch, height, width, channels)`.
            made: Likewise.

        Returns:
            Float32 scalar tensor, in nats.
        """
        return self._loss(real, made, self._values())

    def _loss(self, real, made, values):
        # Two passes, as each has its own batch statistics.
        real, made = (self._score(images, values) for images in (real, made))
        return binary_cross_entropy(real, 1.0) + binary_cross_entropy(made, 0.0)

    def compute_gradients(self, real, made):
        """Returns the loss and its gradients.

        Args:
            real: Float tensor of shape `(batch, height, width, channels)`.
            made: Likewise.

        Returns:
            Tuple: the loss, a float32 scalar tensor, and a list of `(variable,
            gradient)` pairs.
        """
        real, made = (
            ops.stop_gradient(ops.convert_to_tensor(images))
            for images in (real, made)
        )
        share = share_of_batch(ops.shape(real)[0])
        loss, gradients = backend.value_and_gradients(
            lambda values: share * self._loss(real, made, values),
            self._values(),
        )
        gradients = average_tensors(gradients)
        # Later on, the losses of the replicas are averaged by their shares.
        loss = ops.where(share > 0, loss / share, 0.0)
        return loss, list(zip(self.learnt, gradients, strict=True))

    def learn(self, real, made):
        """Takes one training step on real and generated images.

        Args:
            real: Float tensor of shape `(batch, height, width, channels)`.
            made: Likewise, generated images. No gradient reaches the generator.

        Returns:
            Float32 scalar tensor: the loss before the step.
        """
        loss, pairs = self.compute_gradients(real, made)
        variables, gradients = zip(*pairs, strict=True)
        step = self.num_updates + 1.0
        first, second = (
            -ops.expm1(step * math.log(beta)) if beta else 1.0
            for beta in (self.beta_1, self.beta_2)
        )
        size = self.learning_rate * ops.sqrt(second) / first
        for variable, momentum, velocity, gradient in zip(
            variables, self.momentums, self.velocities, gradients, strict=True
        ):
            momentum.assign(
                self.beta_1 * momentum + (1.0 - self.beta_1) * gradient
            )
            velocity.assign(
                self.beta_2 * velocity
                + (1.0 - self.beta_2) * ops.square(gradient)
            )
            root = ops.sqrt(velocity) + self.epsilon
            variable.assign(variable - size * momentum / root)
        self.num_updates.assign(step)
        return loss

    def compute_output_spec(self, images):
        return keras.KerasTensor(images.shape[:1], "float32")

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "learning_rate": self.learning_rate,
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "seed": self.seed,
        }


def _batch_normalize(x, scale, shift):
    axes = (0, 1, 2)
    count = all_reduce_sum(ops.cast(ops.size(x[..., 0]), "float32"))
    centred = x - sum_with_gradient(ops.sum(x, axis=axes)) / count
    variance = sum_with_gradient(ops.sum(ops.square(centred), axis=axes))
    variance = variance / count
    return centred * (ops.rsqrt(variance + NORM_EPSILON) * scale) + shift
