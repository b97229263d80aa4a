"""What masking layers must return, and trials of a user's layers."""

import dataclasses

import keras

from keras_capi.layers.masking.grid_masking import GridMasking
from keras_capi.layers.views.corruption import Corruption
from keras_capi.methods.inputs.view_sizes import view_sizes
from keras_capi.ops.known_axes import may_match
from keras_capi.training.check_encoder import check_encoder
from keras_capi.training.tried_part import describe
from keras_capi.training.tried_part import try_part
from keras_capi.validation import is_array

KINDS = {
    "int": keras.backend.is_int_dtype,
    "float": keras.backend.is_float_dtype,
    "bool": lambda dtype: dtype == "bool",
}
TRIAL_BATCH = 2


def is_own(masking):
    """Returns whether a layer is the user's own, and so needs checks."""
    return not isinstance(masking, GridMasking | Corruption)


@dataclasses.dataclass(frozen=True)
class MaskForm:
    """The tensors that a layer must return for images and `grid_size`.

    Attributes:
        rule: String that states the rule, for errors.
        kinds: Dictionary from the tensors' names to one of `KINDS`.
        axes: Tuple of strings, the axes of each tensor. Axes of the images have
            their length, `"patches"` has the number of patches; the length of
            other axes must be known before a step is run.
        masks: Dictionary from the names of masks, which may be left out, to the
            names of tensors whose shapes they share. Defaults to none.
        free_axis: String or `None`. An axis that may be left out. Defaults to
            `None`.
        argument: String. The name of the argument that is the layer. Defaults
            to `"masking"`.
    """

    rule: str
    kinds: dict
    axes: tuple
    masks: dict = dataclasses.field(default_factory=dict)
    free_axis: str | None = None
    argument: str = "masking"

    def draw(self, layer, images, grid_size):
        """Returns what a layer draws for images.

        Args:
            layer: The masking layer.
            images: Float tensor of shape `(batch, height, width, channels)`, or
                of another shape if `layer` only needs the size of the batch.
            grid_size: Tuple of two integers: rows and columns of patches.

        Raises:
            ValueError: If the result is not of this form.
        """
        drawn = layer(images, grid_size=grid_size)
        self._check(drawn, images.shape, grid_size[0] * grid_size[1])
        return drawn

    def try_layer(self, layer, encoder, num_masks=None):
        """Tries a layer before any training.

        Training images may differ in size from those that the encoder was made
        for, so whether there is a mask for each patch is only checked when they
        come.

        Args:
            layer: The user's layer, or `None`, which is not tried.
            encoder: `keras_capi.encoders.Encoder`.
            num_masks: Integer, the masks per image for a layer that is only
                told how many masks to draw, or `None` for a layer that gets the
                images. Defaults to `None`.

        Raises:
            ValueError: If it is not a layer, cannot be called or returns
                something of another form; or if `encoder` is not an encoder.
        """
        if layer is None:
            return
        check_encoder(encoder)
        size = view_sizes(encoder)[0]
        shape = (TRIAL_BATCH, *size, encoder.image_shape[-1])
        if num_masks is not None:
            shape = (TRIAL_BATCH * num_masks,)
        images = keras.KerasTensor(shape, "float32")
        try:
            # A `keras.RematScope` is meant for the blocks, see `RotaryViT`.
            with keras.RematScope(mode=None):
                drawn = try_part(
                    self.argument, layer, [images], encoder.grid_size(size)
                )
        except ValueError:
            if is_own(layer):
                raise
            # Other layers complain of sizes they do not take when these come.
            return
        self._check(drawn, shape, None)

    def _check(self, drawn, images_shape, num_patches):
        names = ("batch", "height", "width", "channels")
        sizes = dict(zip(names, images_shape, strict=False))
        sizes["patches"] = num_patches
        if not self._suits(drawn, sizes):
            patches = f" of {num_patches} patches" if num_patches else ""
            raise ValueError(
                f"`{self.argument}` must return {self.rule}. Received: "
                f"{describe(drawn)}, for {images_shape[0]} images{patches}"
            )

    def _suits(self, drawn, sizes):
        if not isinstance(drawn, dict):
            return False
        kinds = {**self.kinds, **dict.fromkeys(self.masks, "bool")}
        if not set(self.kinds) <= set(drawn) <= set(kinds):
            return False
        return all(
            is_array(x)
            and KINDS[kinds[name]](keras.backend.standardize_dtype(x.dtype))
            and self._has_axes(x, sizes)
            for name, x in drawn.items()
        ) and all(
            may_match(tuple(drawn[mask].shape), tuple(drawn[name].shape))
            for mask, name in self.masks.items()
            if mask in drawn
        )

    def _has_axes(self, x, sizes):
        if getattr(x.shape, "rank", 0) is None:
            return False
        axes = self.axes
        if len(x.shape) < len(axes):
            axes = [axis for axis in axes if axis != self.free_axis]
        return len(x.shape) == len(axes) and all(
            size in (None, sizes[axis] or size) if axis in sizes else size
            for axis, size in zip(axes, x.shape, strict=True)
        )


INDICES = MaskForm(
    "a dictionary of `visible_indices` and `predict_indices`, integers of "
    "shape (batch, count), with a count of at least 1 that is known before a "
    "step is run",
    {"visible_indices": "int", "predict_indices": "int"},
    ("batch", "count"),
)
BLOCKS = dataclasses.replace(
    INDICES,
    rule="a dictionary of `visible_indices` and `predict_indices`, integers of "
    "shape (batch, count) or (batch, blocks, count), with counts of at least 1 "
    "that are known before a step is run, and perhaps of `visible_mask` and "
    "`predict_mask`, Booleans of these shapes",
    axes=("batch", "blocks", "count"),
    masks={
        "visible_mask": "visible_indices",
        "predict_mask": "predict_indices",
    },
    free_axis="blocks",
)
MASK = MaskForm(
    "a dictionary of `mask`, Booleans of shape (batch, patches), true where "
    "hidden",
    {"mask": "bool"},
    ("batch", "patches"),
)
PREFIX = MaskForm(
    "a dictionary of `prefix_length`, integers of shape (batch,)",
    {"prefix_length": "int"},
    ("batch",),
)
CORRUPTED = MaskForm(
    "a dictionary of `corrupted_images`, floating point, and `mask`, Booleans, "
    "true where corrupted, both of the images' shape",
    {"corrupted_images": "float", "mask": "bool"},
    ("batch", "height", "width", "channels"),
    argument="corruption",
)
