import functools

import keras
import numpy as np
from keras import ops

from keras_capi.layers.views.normalization import check_normalization
from keras_capi.layers.views.normalization import normalization_tensors
from keras_capi.layers.views.random_view import RandomView
from keras_capi.layers.views.random_view import check_images
from keras_capi.ops.colors.aberration import drop_colors
from keras_capi.ops.colors.aberration import project_colors
from keras_capi.ops.images.resampling import resample_windows
from keras_capi.ops.images.shrinking import shrinking_matrix
from keras_capi.ops.masks.block_masks import uniform_integers
from keras_capi.validation import check_bounds
from keras_capi.validation import check_choice
from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_normalized
from keras_capi.validation import check_number
from keras_capi.validation import check_positive_integer
from keras_capi.validation import known_channels

# Rows and columns of the grid.
GRID_SIDE = 3
# Published for patches of 96 pixels: the largest jitter, the smallest size that
# patches are shrunk to, and the number of pixels of the images.
PUBLISHED_SIZE = 96
JITTER = 7
SMALLEST = 10
AREA = tuple(pixels / PUBLISHED_SIZE**2 for pixels in (150_000, 450_000))
# For the size of the image, the position of the grid, and the jitter.
NUMBERS_PER_GRID = 1 + 2 + 2 * GRID_SIDE**2
# Windows of smaller images might not contain a pixel.
SMALLEST_IMAGE = 8


@keras.saving.register_keras_serializable(package="keras_capi")
class PatchGrid(RandomView):
    """Cuts a grid of 3 x 3 patches, whose relative positions are predicted.

    Trivial cues to the positions are removed. There are gaps between the
    patches, and each is jittered, so that no line continues across a border.
    Lenses focus colours differently towards the edges of an image, so two of
    three channels are replaced by noise, or the colours are projected. Some
    patches lose their details.

    Each image is resized to a random size and the grid is placed at random, in
    one resampling. Patches of small images are enlarged, and so blurred: pass
    images of four to seven times `crop_size` to keep them sharp.

    Like masks, patches are random in evaluation, too.

    Args:
        crop_size: Integer, 2 or more. Height and width of a patch. Defaults to
            `96`.
        gap: Integer, 0 or more. Pixels between two patches. `None` is half of
            `crop_size`. Defaults to `None`.
        jitter: Integer, 0 or more. Largest number of pixels by which a patch is
            moved along each axis. `None` is 7 for a `crop_size` of 96, and in
            proportion otherwise. Defaults to `None`.
        area: Tuple of two floats, `0 < low <= high`. Bounds of the area of the
            resized image, as a multiple of the area of a patch. Images are
            always made large enough for the grid. Defaults to `(16.3, 48.8)`:
            150,000 to 450,000 pixels with patches of 96.
        shrink_rate: Float in `[0, 1]`. Share of the patches that are shrunk and
            enlarged again. Defaults to `0.33`.
        colors: String. `"dropping"` keeps one channel and replaces the others
            by noise; `"projection"` removes the green-magenta axis. Defaults to
            `"dropping"`.
        mean: Tuple of floats, one for each channel: what was subtracted from
            pixels in `[0, 1]`. `None` is ImageNet's mean, averaged if there are
            not three channels. Defaults to `None`.
        std: Tuple of floats, likewise: what they were then divided by. Defaults
            to `None`.
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        images: Float tensor of shape `(..., height, width, channels)`,
            normalised.
        numbers: Float32 tensor of shape `(..., numbers_per_image)`, uniform in
            `[0, 1)`, to use instead of drawing new ones. Defaults to `None`.

    Output shape:
        `{"patches": (..., 9, crop_size, crop_size, channels)}`, row-major, in
        the compute dtype, each with a mean square of 1; of 0 if nothing is left
        of it, as of a patch of one grey without noise.

    Raises:
        ValueError: If an argument is out of range, or if images are integers,
            have fewer than 8 pixels along a side, or do not have the channels
            that the other arguments need.

    Example:

    >>> images = keras.random.normal((4, 96, 128, 3))
    >>> patches = keras_capi.layers.PatchGrid(24)(images)["patches"]
    >>> patches.shape  # (4, 9, 24, 24, 3)

    Reference:

    - [Unsupervised visual representation learning by context prediction](
      https://arxiv.org/abs/1505.05192), section 3
    """

    def __init__(
        self,
        crop_size=PUBLISHED_SIZE,
        gap=None,
        jitter=None,
        area=AREA,
        shrink_rate=0.33,
        colors="dropping",
        mean=None,
        std=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(seed, **kwargs)
        check_positive_integer("crop_size", crop_size)
        if crop_size < 2:
            raise ValueError(
                f"`crop_size` must be 2 or more. Received: {crop_size=}"
            )
        check_non_negative_integer("gap", gap, or_none=True)
        check_non_negative_integer("jitter", jitter, or_none=True)
        check_number("shrink_rate", shrink_rate, "[0, 1]")
        check_choice("colors", colors, ("dropping", "projection"))
        self.crop_size = crop_size
        self.gap = crop_size // 2 if gap is None else gap
        if jitter is None:
            jitter = round(JITTER / PUBLISHED_SIZE * crop_size)
        self.jitter = jitter
        self.area = check_bounds("area", area)
        self.shrink_rate = shrink_rate
        self.colors = colors
        self.mean, self.std = check_normalization(mean, std)

    @property
    def numbers_per_image(self):
        return sum(self._counts)

    @property
    def _counts(self):
        """The counts of random numbers, in the order of `transform`."""
        num_patches = GRID_SIDE**2
        noise = num_patches * self.crop_size**2
        if self.colors == "projection":
            noise = 0
        # For windows; which patches shrink, and how far; and the channel kept.
        return NUMBERS_PER_GRID, *([num_patches] * 3), noise

    def call(self, images, numbers=None):
        check_normalized(images)
        return super().call(images, numbers)

    def transform(self, images, numbers):
        ends = np.cumsum(self._counts)[:-1].tolist()
        grid, shrunk, side, kept, noise = ops.split(numbers, ends, axis=1)
        _, height, width, _ = ops.shape(images)
        num_channels = known_channels(images)
        windows = self.windows(grid, (height, width))
        crop_size = self.crop_size
        patches = resample_windows(
            images,
            *windows,
            (crop_size, crop_size),
            windows_per_image=GRID_SIDE**2,
        )
        mean, std = normalization_tensors(self.mean, self.std, num_channels)
        pixels = self._shrink(255.0 * (patches * std + mean), shrunk, side)
        if self.colors == "projection":
            patches = project_colors(pixels)
        else:
            kept = uniform_integers(ops.reshape(kept, (-1,)), num_channels)
            noise = ops.reshape(noise, (-1, crop_size, crop_size, 1))
            patches = drop_colors(pixels, kept, _spread(noise, num_channels))
        shape = (-1, GRID_SIDE**2, crop_size, crop_size, num_channels)
        return {"patches": ops.reshape(patches, shape)}

    def windows(self, numbers, image_size):
        """Returns the windows to cut out of images.

        Args:
            numbers: Float32 tensor of shape `(batch, 21)`, the first of those
                that `transform` takes.
            image_size: Height and width, integers or scalar tensors.

        Returns:
            Four float32 tensors of shape `(batch * 9,)`: tops, lefts, heights
            and widths, in pixels of the images.
        """
        size, start = numbers[:, :1], numbers[:, 1:3]
        jitter = ops.reshape(numbers[:, 3:], (-1, 2, GRID_SIDE**2))
        sides = [ops.cast(side, "float32") for side in image_size]
        if any(isinstance(n, int) and n < SMALLEST_IMAGE for n in image_size):
            raise ValueError(
                f"`images` must have {SMALLEST_IMAGE} pixels or more along "
                f"each side. Received: {image_size[0]} x {image_size[1]}"
            )
        pitch = self.crop_size + self.gap
        extent = pitch * (GRID_SIDE - 1) + self.crop_size
        low, high = (bound * self.crop_size**2 for bound in self.area)
        zoom = ops.sqrt((low + size * (high - low)) / (sides[0] * sides[1]))
        zoom = ops.maximum(zoom, extent / ops.minimum(*sides))
        cells = np.indices((GRID_SIDE, GRID_SIDE)).reshape(2, -1) * pitch
        corners = []
        for axis, side in enumerate(sides):
            room = ops.maximum(ops.floor(zoom * side), extent) - extent
            first = ops.floor(start[:, axis : axis + 1] * (room + 1.0))
            moved = uniform_integers(jitter[:, axis], 2 * self.jitter + 1)
            moved = ops.cast(moved - self.jitter, "float32")
            corner = first + ops.cast(cells[axis], "float32") + moved
            # Clamped into the image.
            last = room + extent - self.crop_size
            corner = ops.minimum(ops.maximum(corner, 0.0), last) / zoom
            corners.append(ops.reshape(corner, (-1,)))
        window = ops.repeat(self.crop_size / zoom[:, 0], GRID_SIDE**2)
        return *corners, window, window

    def _shrink(self, patches, shrunk, side):
        largest = self.crop_size - 1
        smallest = min(SMALLEST / PUBLISHED_SIZE * self.crop_size, largest)
        square = smallest**2 + side * (largest**2 - smallest**2)
        side = ops.cast(ops.floor(ops.sqrt(square)), "int32")
        side = ops.where(
            shrunk < self.shrink_rate, ops.maximum(side, 1), self.crop_size
        )
        table = ops.convert_to_tensor(_shrinking_table(self.crop_size))
        matrices = ops.take(table, ops.reshape(side, (-1,)), axis=0)
        patches = ops.einsum("nrh,nhwc->nrwc", matrices, patches)
        return ops.einsum("npw,nrwc->nrpc", matrices, patches)

    def compute_output_spec(self, images, numbers=None):
        check_normalized(images)
        check_images(images.shape)
        *leading, _, _, num_channels = images.shape
        size = self.crop_size
        shape = (*leading, GRID_SIDE**2, size, size, num_channels)
        return {"patches": keras.KerasTensor(shape, self.compute_dtype)}

    def get_config(self):
        return {
            **super().get_config(),
            "crop_size": self.crop_size,
            "gap": self.gap,
            "jitter": self.jitter,
            "area": self.area,
            "shrink_rate": self.shrink_rate,
            "colors": self.colors,
            "mean": self.mean,
            "std": self.std,
        }


@functools.cache
def _shrinking_table(size):
    """Returns `shrinking_matrix` for all sizes up to that of the patch."""
    table = np.zeros((size + 1, size, size), "float32")
    for small_size in range(1, size):
        table[small_size] = shrinking_matrix(size, small_size)
    table[size] = np.eye(size)
    return table


def _spread(uniform, num_channels):
    """Makes uniform numbers for several channels from those for one."""
    # Uses the later digits, which are as good as independent for noise. A
    # float32 has digits for two such factors only, so channels from the fourth
    # on use digits in other bases.
    factors = [1, 251, 251**2, *range(253, 253 + 2 * num_channels, 2)]
    factors = np.array(factors[:num_channels], "float32")
    spread = uniform * ops.convert_to_tensor(factors)
    return spread - ops.floor(spread)
