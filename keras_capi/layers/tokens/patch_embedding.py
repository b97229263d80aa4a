import keras

from keras_capi import backend
from keras_capi.layers.fan_in_uniform import fan_in_uniform
from keras_capi.ops.tokens import extract_patches
from keras_capi.ops.tokens import gather_tokens
from keras_capi.validation import check_images
from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class PatchEmbedding(keras.layers.Layer):
    """Maps square image patches to tokens with one linear layer.

    Equivalent to a convolution whose stride is its kernel size, but `indices`
    select patches before they are embedded: masked patches cost nothing, and
    the selection needs no backward pass.

    Args:
        patch_size: Integer. Side of a patch in pixels.
        hidden_dim: Integer. Width of the tokens.
        kernel_initializer: Initializer of the kernel, as a matrix of shape
            `(patch_size**2 * channels, hidden_dim)`. Defaults to
            `"glorot_uniform"`.

    Call arguments:
        images: Float tensor of shape `(batch, height, width, channels)`, any
            height and width divisible by `patch_size`.
        indices: Optional integer tensor of shape `(batch, picked)`: the
            row-major indices of the patches to embed. `None` embeds all.

    Output shape:
        `(batch, rows * columns, hidden_dim)` or `(batch, picked, hidden_dim)`.

    Raises:
        ValueError: If the images have a wrong rank or number of channels,
            integer values, or a size not divisible by `patch_size`.

    Example:

    >>> images = keras.random.uniform((2, 32, 48, 3))
    >>> keras_capi.layers.PatchEmbedding(16, 64)(images).shape  # (2, 6, 64)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), appendix A (architecture)
    """

    def __init__(
        self,
        patch_size,
        hidden_dim,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_positive_integer("patch_size", patch_size)
        check_positive_integer("hidden_dim", hidden_dim)
        self.patch_size = patch_size
        self.hidden_dim = hidden_dim
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, images_shape, indices_shape=None):
        # Weights for bad images would stay, and not suit good ones.
        images = keras.KerasTensor(images_shape, self.compute_dtype)
        check_images(images, self.patch_size, images_shape[-1])
        self.num_channels = images_shape[-1]
        fan_in = self.patch_size**2 * self.num_channels
        self.kernel = self.add_weight(
            name="kernel",
            shape=(fan_in, self.hidden_dim),
            initializer=self.kernel_initializer,
        )
        self.bias = self.add_weight(
            name="bias",
            shape=(self.hidden_dim,),
            initializer=fan_in_uniform(fan_in),
        )

    def call(self, images, indices=None):
        check_images(images, self.patch_size, self.num_channels)
        patches = extract_patches(images, self.patch_size)
        if indices is not None:
            patches = gather_tokens(patches, indices)
        return backend.matrix_product(patches, self.kernel) + self.bias

    def compute_output_shape(self, images_shape, indices_shape=None):
        batch_size, height, width, _ = images_shape
        if indices_shape is not None:
            return (batch_size, indices_shape[1], self.hidden_dim)
        if height is None or width is None:
            return (batch_size, None, self.hidden_dim)
        num_patches = height // self.patch_size * (width // self.patch_size)
        return (batch_size, num_patches, self.hidden_dim)

    def compute_output_spec(self, images, indices=None):
        check_images(images, self.patch_size, self.num_channels)
        shape = self.compute_output_shape(
            images.shape, None if indices is None else indices.shape
        )
        return keras.KerasTensor(shape, self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "patch_size": self.patch_size,
            "hidden_dim": self.hidden_dim,
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
        }
