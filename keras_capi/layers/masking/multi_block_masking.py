import functools

import keras
import numpy as np
from keras import ops

from keras_capi.layers.masking.grid_masking import GridMasking
from keras_capi.ops.masks.multi_block_masks import correlated_block_sides
from keras_capi.ops.masks.multi_block_masks import place_blocks
from keras_capi.ops.masks.multi_block_masks import place_contexts
from keras_capi.validation import check_bounds
from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_positive_integer

# Contexts must have more visible patches than this, if the grid is large
# enough.
MIN_VISIBLE = 10


@keras.saving.register_keras_serializable(package="keras_capi")
class MultiBlockMasking(GridMasking):
    """Draws a large context and blocks to predict: I-JEPA's masking.

    The blocks to predict are large enough to show a part of an object, and the
    context is spread over the image. To predict a block, a model has to
    understand what the image shows.

    All blocks of a batch have the same height and width, drawn for each batch.
    All contexts are cut to the size of the smallest one in the batch, and keep
    their first patches. As shapes must be known when a step is compiled,
    indices are padded to the largest possible number, and masks tell which of
    them count.

    Args:
        grid_size: Tuple of two integers, rows and columns of patches, or `None`
            if the model sets it. Defaults to `None`.
        num_blocks: Integer. Number of blocks to predict. Defaults to `4`.
        block_scale: Tuple of two floats. Bounds of the area of the blocks, as a
            share of the image. Defaults to `(0.15, 0.2)`.
        block_aspect_ratio: Tuple of two floats. Bounds of their aspect ratio,
            height over width. Defaults to `(0.75, 1.5)`.
        num_contexts: Integer. Number of contexts. The blocks are predicted from
            each of them. Defaults to `1`.
        context_scale: Tuple of two floats. Bounds of the area of the square
            that a context is a part of, as a share of the image. Defaults to
            `(0.85, 1.0)`.
        min_visible: Integer or `None`. A context has more patches than this
            before it is cut. `None` is 10, or a tenth of the patches if that is
            less. Defaults to `None`.
        max_visible: Integer or `None`. Cuts contexts to this number of patches,
            too, which saves padding. In large batches the smallest context is
            small anyway, so that this changes next to nothing. `None` does not.
            Defaults to `None`.
        allow_overlap: Boolean. Whether a context may contain patches that are
            to be predicted. Defaults to `False`.
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        inputs: Any tensor whose first axis is the batch.
        grid_size: Tuple of two integers. Required if the constructor got none.
            At least two rows and two columns.

    Output shape:
        `{"visible_indices": (batch, num_contexts, visible), "predict_indices":
        (batch, num_blocks, predictions)}`, int32, row-major patches, ascending
        before the padding. `"visible_mask"` and `"predict_mask"`, Boolean, of
        the same shapes, are `True` for those that are not padding.

    Example:

    >>> masking = keras_capi.layers.MultiBlockMasking((14, 14))
    >>> masks = masking(keras.ops.zeros((2,)))
    >>> masks["visible_indices"].shape  # (2, 1, 139)
    >>> masks["predict_indices"].shape  # (2, 4, 40)

    Reference:

    - [I-JEPA](https://arxiv.org/abs/2301.08243), section 3 and appendix A.4
    """

    def __init__(
        self,
        grid_size=None,
        num_blocks=4,
        block_scale=(0.15, 0.2),
        block_aspect_ratio=(0.75, 1.5),
        num_contexts=1,
        context_scale=(0.85, 1.0),
        min_visible=None,
        max_visible=None,
        allow_overlap=False,
        seed=None,
        **kwargs,
    ):
        super().__init__(grid_size, seed, **kwargs)
        check_positive_integer("num_blocks", num_blocks)
        check_positive_integer("num_contexts", num_contexts)
        check_positive_integer("max_visible", max_visible, or_none=True)
        check_non_negative_integer("min_visible", min_visible, or_none=True)
        self.num_blocks = num_blocks
        self.block_scale = check_bounds("block_scale", block_scale, 1.0)
        self.block_aspect_ratio = check_bounds(
            "block_aspect_ratio", block_aspect_ratio
        )
        self.num_contexts = num_contexts
        self.context_scale = check_bounds("context_scale", context_scale, 1.0)
        self.min_visible = min_visible
        self.max_visible = max_visible
        self.allow_overlap = bool(allow_overlap)
        if self.grid_size is not None:
            self.count_patches(self.grid_size)

    def count_patches(self, grid_size):
        """Returns the largest numbers of visible and predicted patches.

        Args:
            grid_size: Tuple of two integers, rows and columns of patches.

        Returns:
            Tuple of two integers: of a context, and of a block.
        """
        if min(grid_size) < 2:
            raise ValueError(
                "`grid_size` must have two rows and columns of patches or "
                f"more. Received: grid_size={tuple(grid_size)}"
            )
        blocks, contexts = self.possible_sides(grid_size)
        largest = int(blocks.prod(axis=-1).max())
        visible = contexts.prod(axis=-1)
        # A context leaves out at least what it must share with the first block,
        # which is the last to be ignored.
        if (
            not self.allow_overlap
            and visible.min() - largest > self._min_visible(grid_size)
        ):
            common = contexts[:, None] + blocks - (np.array(grid_size) - 1)
            visible = visible - common.clip(0).prod(axis=-1).min(axis=-1)
        num_visible = min(int(visible.max()), self.max_visible or np.inf)
        return num_visible, largest

    def _bounds(self):
        """Bounds of areas and aspect ratios, of blocks and of contexts."""
        return (
            (self.block_scale, self.block_aspect_ratio),
            (self.context_scale, (1.0, 1.0)),
        )

    def possible_sides(self, grid_size):
        """Returns all heights and widths that can occur.

        Args:
            grid_size: Tuple of two integers, rows and columns of patches.

        Returns:
            List of two integer arrays of shape `(count, 2)`: of blocks, and of
            the squares that contexts are parts of.
        """
        return [
            _possible_sides(grid_size, *bounds) for bounds in self._bounds()
        ]

    def _min_visible(self, grid_size):
        """`min_visible`, lowered on grids where no context could have more."""
        count = self.min_visible
        if count is None:
            count = min(MIN_VISIBLE, grid_size[0] * grid_size[1] // 10)
        contexts = self.possible_sides(grid_size)[1]
        return min(count, int(contexts.prod(axis=-1).min()) - 1)

    @property
    def numbers_per_image(self):
        """The number of random numbers for each image."""
        per_context = 1 + (0 if self.allow_overlap else self.num_blocks)
        return 2 * self.num_blocks + self.num_contexts * per_context

    def place(self, size_numbers, numbers, grid_size):
        """Turns random numbers into blocks and contexts, which are not yet cut.

        Args:
            size_numbers: Float tensor of shape `(batch or 1, 2)`, uniform in
                `[0, 1)`: for the sides of blocks and of contexts.
            numbers: Float tensor of shape `(batch, numbers_per_image)`, uniform
                in `[0, 1)`.
            grid_size: Tuple of two integers, rows and columns of patches.

        Returns:
            Two Boolean tensors: contexts of shape `(batch, num_contexts,
            patches)`, and blocks of shape `(batch, num_blocks, patches)`.
        """
        block_sides, context_sides = (
            [
                ops.cast(side, "int32")
                for side in correlated_block_sides(
                    size_numbers[:, index : index + 1], grid_size, *bounds
                )
            ]
            for index, bounds in enumerate(self._bounds())
        )
        corners = ops.reshape(
            numbers[:, : 2 * self.num_blocks], (-1, self.num_blocks, 2)
        )
        blocks = place_blocks(corners, block_sides, grid_size)
        num_hidden = 0 if self.allow_overlap else self.num_blocks
        contexts = place_contexts(
            ops.reshape(
                numbers[:, 2 * self.num_blocks :],
                (-1, self.num_contexts, num_hidden + 1),
            ),
            blocks[:, :num_hidden],
            context_sides,
            grid_size,
            self._min_visible(grid_size),
        )
        return contexts, blocks

    def call(self, inputs, grid_size=None):
        grid_size = self.resolve_grid_size(grid_size)
        counts = self.count_patches(grid_size)
        masks = self.place(
            self.random_state.uniform((1, 2), batch_axis=None),
            self.draw(inputs, self.numbers_per_image),
            grid_size,
        )
        outputs = {}
        for name, mask, count in zip(
            ("visible", "predict"), masks, counts, strict=True
        ):
            shortest = ops.min(ops.sum(ops.cast(mask, "int32"), axis=-1))
            outputs[f"{name}_indices"] = _list_patches(mask, count)
            outputs[f"{name}_mask"] = ops.broadcast_to(
                ops.arange(count, dtype="int32") < shortest,
                (*ops.shape(mask)[:2], count),
            )
        return outputs

    def compute_output_spec(self, inputs, grid_size=None):
        grid_size = self.resolve_grid_size(grid_size)
        num_visible, num_predict = self.count_patches(grid_size)
        return {
            f"{name}_{kind}": keras.KerasTensor(
                (inputs.shape[0], *counts), dtype
            )
            for name, counts in (
                ("visible", (self.num_contexts, num_visible)),
                ("predict", (self.num_blocks, num_predict)),
            )
            for kind, dtype in (("indices", "int32"), ("mask", "bool"))
        }

    def get_config(self):
        return {
            **super().get_config(),
            "num_blocks": self.num_blocks,
            "block_scale": self.block_scale,
            "block_aspect_ratio": self.block_aspect_ratio,
            "num_contexts": self.num_contexts,
            "context_scale": self.context_scale,
            "min_visible": self.min_visible,
            "max_visible": self.max_visible,
            "allow_overlap": self.allow_overlap,
        }


@functools.lru_cache
def _possible_sides(grid_size, scale, aspect_ratio):
    """All heights and widths that blocks can have, of shape `(count, 2)`."""
    sides = correlated_block_sides(
        np.linspace(0.0, 1.0, 10_001), grid_size, scale, aspect_ratio, np
    )
    return np.unique(np.stack(sides, axis=-1).astype(int), axis=0)


def _list_patches(mask, count):
    """The first `count` patches of a mask, then some of the others."""
    num_patches = mask.shape[-1]
    early = ops.cast(num_patches - ops.arange(num_patches), "float32")
    scores = ops.where(mask, early, -early)
    return ops.cast(ops.top_k(scores, count)[1], "int32")
