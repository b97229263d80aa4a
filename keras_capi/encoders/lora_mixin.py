from keras_capi.layers.build_in_constructor import allow_parts
from keras_capi.validation import check_positive_integer


class LoRAMixin:
    """Lets an encoder train a few additional weights, with all others frozen.

    The encoder's `list_blocks` returns its blocks: `TransformerBlock`s, or
    others with `projections`. LoRA is refused for blocks without.
    """

    lora_rank = None

    def finish(self, lora_rank=None):
        """Ends a constructor, once the encoder has all its parts and weights.

        A subclass of a finished encoder, such as `ViT`, may add parts and call
        it again.

        Args:
            lora_rank: Integer or `None`, see `enable_lora`.
        """
        if lora_rank is not None:
            check_positive_integer("lora_rank", lora_rank)
            self._add_lora(lora_rank)
        elif self.has_lora:
            # Parts that a subclass has added are not low-rank weights.
            self._freeze_all_but_lora()
        if not self.trainable:
            # For a frozen encoder that is loaded: Keras freezes the parts that
            # exist when the base class is initialised, and these did not.
            for layer in self.layers:
                layer.trainable = False
        self.built = True
        allow_parts(self)

    def list_blocks(self):
        """Returns the transformer blocks, which LoRA applies to."""
        # Not a property, as Keras would save it.
        return self.blocks

    @property
    def has_lora(self):
        """Whether only low-rank weights train."""
        return self.lora_rank is not None

    @property
    def trainable(self):
        return super().trainable

    @trainable.setter
    def trainable(self, value):
        # `super` has no setters.
        super(LoRAMixin, type(self)).trainable.fset(self, value)
        if value and self.has_lora:
            self._freeze_all_but_lora()

    def unfreeze(self, part):
        """Makes a part trainable, except for what LoRA or design keeps frozen.

        Args:
            part: Layer of the encoder.
        """
        part.trainable = True
        if self.has_lora:
            self._freeze_all_but_lora()

    def enable_lora(self, rank):
        """Freezes all weights, and adds low-rank ones to train instead.

        Keras's own `enable_lora` adds them to all projections of the
        transformer blocks. Call this before `compile`. In saved files they are
        merged into the weights, so that an ordinary backbone can load those
        too; one with LoRA, such as from a `.keras` file, continues with new
        low-rank weights on top.

        Args:
            rank: Integer. Rank of the updates: the higher, the more weights
                train.

        Raises:
            ValueError: If the encoder has other blocks than transformers'.
        """
        check_positive_integer("rank", rank)
        self._projections()  # Raises before anything changes.
        if not self.trainable:
            self.trainable = True  # Otherwise new weights would be frozen too.
        self._add_lora(rank)

    def _add_lora(self, rank):
        for projection in self._projections():
            projection.enable_lora(rank)
        self.lora_rank = rank
        self._freeze_all_but_lora()

    def _freeze_all_but_lora(self):
        for variable in self.variables:
            variable.trainable = False
        for projection in self._projections():
            projection.lora_kernel_a.trainable = projection.trainable
            projection.lora_kernel_b.trainable = projection.trainable

    def _projections(self):
        blocks = self.list_blocks()
        if not all(hasattr(block, "projections") for block in blocks):
            raise ValueError(
                "LoRA needs blocks with `projections`, a list of their dense "
                "layers, such as `keras_capi.layers.TransformerBlock`. Freeze "
                "the encoder instead. Received: blocks of the types "
                f"{sorted({type(block).__name__ for block in blocks})}"
            )
        return [p for block in blocks for p in block.projections]
