"""A loss that spreads the features of a batch."""

from keras import ops

from keras_capi.ops.collectives import gather_samples
from keras_capi.ops.normalization import l2_normalize

# Of the norm, in each channel of a difference, and in the logarithm.
EPSILON = 1e-8


def koleo(features):
    """Returns the KoLeo loss, which pushes nearest neighbours apart.

    The features are L2-normalised. The loss is the mean of `-log(distance)`
    between each and its nearest neighbour in the batch: the negative of
    Kozachenko and Leonenko's estimate of the entropy, up to a constant. Both
    features of a pair get a gradient.

    Do not pass two views of an image together, as these should be similar. The
    batch is that of all devices; in DINOv2's code it is that of each device. A
    single image has no neighbour: as in that code, its loss is a constant of
    about 16, without a gradient.

    Args:
        features: Float tensor of shape `(batch, width)`.

    Returns:
        Float32 scalar tensor.

    Example:

    >>> keras_capi.ops.koleo(keras.random.normal((8, 16)))

    Reference:

    - [Sablayrolles et al., 2018](https://arxiv.org/abs/1806.03198)
    - [DINOv2](https://arxiv.org/abs/2304.07193), section 4 (KoLeo regularizer)
    """
    features = l2_normalize(features, epsilon=EPSILON)
    everything, places = gather_samples(features)
    similarities = ops.matmul(
        ops.stop_gradient(features),
        ops.transpose(ops.stop_gradient(everything)),
    )
    is_same = places[:, None] == ops.arange(ops.shape(everything)[0])
    similarities = ops.where(is_same, -1.0, similarities)
    nearest = ops.take(everything, ops.argmax(similarities, axis=-1), axis=0)
    squares = ops.square(features - nearest + EPSILON)
    distances = ops.sqrt(ops.sum(squares, axis=-1))
    return -ops.mean(ops.log(distances + EPSILON))
