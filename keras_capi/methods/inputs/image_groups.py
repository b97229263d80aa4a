"""Several images, such as views, made of each one."""

from keras_capi.validation import check_images
from keras_capi.validation import known_shape


def check_image_groups(name, groups, members, encoder, may_vary=False):
    """Raises a `ValueError` unless an encoder can take all the images.

    Args:
        name: String. The name of the input.
        groups: Array or tensor of shape `(batch, members, height, width,
            channels)`.
        members: String. What the members of a group are called.
        encoder: `keras_capi.encoders.Encoder`.
        may_vary: Boolean. Whether the number of members may be unknown, too,
            when a step is compiled. Defaults to `False`.
    """
    shape = known_shape(name, groups)
    if len(shape) != 5 or shape[1] == 0:
        raise ValueError(
            f"`{name}` must have rank 5: (batch, {members}, height, width, "
            f"channels). Received: shape {shape}"
        )
    if None in shape[2 if may_vary else 1 :]:
        unknown = f"the batch and the number of {members}"
        raise ValueError(
            f"All axes of `{name}` but {unknown if may_vary else 'the batch'} "
            "must be known when a step is compiled: set them in the data set, "
            f"by `tf.ensure_shape` in its `map`. Received: shape {shape}"
        )
    check_images(groups[:, 0], encoder.patch_size, encoder.image_shape[-1])
