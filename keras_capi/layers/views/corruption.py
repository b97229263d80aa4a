import keras
from keras import ops

from keras_capi.layers.random_state import RandomState
from keras_capi.layers.views.normalization import check_normalization
from keras_capi.layers.views.normalization import normalization_tensors
from keras_capi.layers.views.random_view import check_batch
from keras_capi.ops.images.corruptions import mark_smallest
from keras_capi.ops.images.corruptions import spread_over_pixels
from keras_capi.ops.known_axes import may_match
from keras_capi.validation import check_choice
from keras_capi.validation import check_grid_size
from keras_capi.validation import check_number
from keras_capi.validation import check_seed

# The range of `level` for each kind.
LEVELS = {
    "gaussian": "[0, inf)",
    "masking": "[0, 1)",
    "masking_exact": "[0, 1)",
    "masking_patches": "[0, 1)",
    "salt_and_pepper": "[0, 1)",
}


@keras.saving.register_keras_serializable(package="keras_capi")
class Corruption(keras.layers.Layer):
    """Corrupts images with noise, or by removing some of their values.

    A denoising autoencoder learns to undo this. Every image draws its own
    noise, in evaluation, too, where the losses of clean images would mean
    nothing. Other values stay as they are: unlike dropout, this does not
    rescale.

    Images are normalised, as everywhere in the package. `mean` and `std` tell
    how, and so define black (0), white (1) and the scale of the noise. Removed
    values become black, not the mean colour.

    Always computes in float32.

    Args:
        kind: String. `"gaussian"` adds normal noise to all values, without
            clipping. `"masking"` makes each value of each channel black with
            probability `level`; `"masking_exact"` exactly `int(values * level)`
            of them; `"masking_patches"` all pixels of `int(patches * level)`
            patches. `"salt_and_pepper"` makes pixels black or white in all
            channels, each with probability `level / 2`. Defaults to
            `"gaussian"`.
        level: Float. For `"gaussian"` the standard deviation, 0 or more;
            otherwise the share of the values, in `[0, 1)`. Defaults to `0.25`.
        mean: Tuple of floats, one for each channel: what was subtracted from
            pixels in `[0, 1]`. `None` is ImageNet's mean, averaged if there are
            not three channels. Defaults to `None`.
        std: Tuple of floats, likewise: what they were then divided by. Defaults
            to `None`.
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        images: Float tensor of shape `(batch, height, width, channels)`,
            normalised.
        grid_size: Tuple of two integers, rows and columns of patches. Required
            for `"masking_patches"`.
        noise: Float32 tensor of the shape that `noise_shape` returns, to use
            instead of drawing new numbers: normal for `"gaussian"`, otherwise
            uniform in `[0, 1)`. Defaults to `None`.

    Output shape:
        `{"corrupted_images": ..., "mask": ...}`, both of the shape of `images`:
        the first in the compute dtype, the second Boolean, `True` where
        corrupted.

    Raises:
        ValueError: If an argument is out of range, or if images are integers,
            that is, not normalised, or do not fit the other arguments.

    Example:

    >>> images = keras.random.normal((4, 32, 48, 3))
    >>> corruption = keras_capi.layers.Corruption("masking_patches", 0.5)
    >>> views = corruption(images, grid_size=(4, 6))
    >>> views["corrupted_images"].shape  # (4, 32, 48, 3)

    Reference:

    - [Extracting and composing robust features with denoising autoencoders](
      https://www.cs.toronto.edu/~larocheh/publications/icml-2008-denoising-autoencoders.pdf)
    - [Stacked denoising autoencoders](
      https://www.jmlr.org/papers/v11/vincent10a.html), section 3.3
    """

    def __init__(
        self,
        kind="gaussian",
        level=0.25,
        mean=None,
        std=None,
        seed=None,
        **kwargs,
    ):
        # Rematerialisation would draw different noise in the backward pass, and
        # half precision would round pixels.
        with keras.RematScope(mode=None):
            super().__init__(autocast=False, **kwargs)
        check_choice("kind", kind, LEVELS)
        check_number("level", level, LEVELS[kind])
        check_seed("seed", seed)
        self.kind = kind
        self.level = level
        self.mean, self.std = check_normalization(mean, std)
        self.seed = seed
        self.random_state = RandomState(seed)
        self.built = True

    def noise_shape(self, shape, grid_size=None):
        """Returns the shape of the random numbers that make the noise.

        Args:
            shape: Tuple, the shape of the images.
            grid_size: Tuple of two integers, see above.
        """
        if self.kind == "masking_patches":
            rows, columns = _check_grid_size(grid_size, shape)
            return shape[0], rows * columns
        if self.kind == "salt_and_pepper":
            return (*shape[:3], 1)
        return tuple(shape)

    def draw(self, shape, grid_size=None):
        """Draws the random numbers for images of a shape, see `noise_shape`.

        Args:
            shape: Tuple, the shape of the images.
            grid_size: Tuple of two integers, see above.
        """
        shape = self.noise_shape(shape, grid_size)
        if self.kind == "gaussian":
            return self.random_state.normal(shape)
        return self.random_state.uniform(shape)

    def call(self, images, grid_size=None, noise=None):
        check_batch(images)
        shape = ops.shape(images)
        noise_shape = self.noise_shape(shape, grid_size)
        if noise is None:
            noise = self.draw(shape, grid_size)
        elif not may_match(noise.shape[1:], noise_shape[1:]):
            raise ValueError(
                "`noise` must have the shape that `noise_shape` tells. "
                f"Received: noise.shape={tuple(noise.shape)}, for "
                f"images.shape={tuple(images.shape)} and kind={self.kind!r}"
            )
        # So that its static shape is known in a graph.
        noise = ops.reshape(ops.cast(noise, "float32"), noise_shape)
        images = ops.cast(images, "float32")
        mean, std = normalization_tensors(self.mean, self.std, images.shape[-1])
        if self.kind == "gaussian":
            mask = ops.ones(shape, "bool")
            corrupted = images + noise * (self.level / std)
        else:
            mask = ops.broadcast_to(self._mask(noise, shape, grid_size), shape)
            is_white = 0.0
            if self.kind == "salt_and_pepper":
                is_white = ops.cast(noise >= self.level / 2, "float32")
            corrupted = ops.where(mask, (is_white - mean) / std, images)
        return {
            "corrupted_images": ops.cast(corrupted, self.compute_dtype),
            "mask": mask,
        }

    def _mask(self, noise, shape, grid_size):
        if self.kind == "masking_exact":
            return mark_smallest(noise, self.level)
        if self.kind == "masking_patches":
            mask = mark_smallest(noise, self.level)
            patch_size = shape[1] // grid_size[0]
            return spread_over_pixels(mask, grid_size, patch_size)
        return noise < self.level

    def compute_output_spec(self, images, grid_size=None, noise=None):
        check_batch(images)
        self.noise_shape(images.shape, grid_size)
        normalization_tensors(self.mean, self.std, images.shape[-1])
        return {
            "corrupted_images": keras.KerasTensor(
                images.shape, self.compute_dtype
            ),
            "mask": keras.KerasTensor(images.shape, "bool"),
        }

    def get_config(self):
        return {
            **super().get_config(),
            "kind": self.kind,
            "level": self.level,
            "mean": self.mean,
            "std": self.std,
            "seed": self.seed,
        }


def _check_grid_size(grid_size, shape):
    """Returns the grid if its patches are square, or raises."""
    rows, columns = check_grid_size(grid_size)
    height, width = shape[1:3]
    if isinstance(height, int) and isinstance(width, int):
        patch_size = height // rows
        if (height, width) != (rows * patch_size, columns * patch_size):
            raise ValueError(
                "`grid_size` must cut images into square patches. Received: "
                f"grid_size={(rows, columns)}, images of {height} x {width} "
                "pixels"
            )
    return rows, columns
