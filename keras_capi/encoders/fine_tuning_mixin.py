class FineTuningMixin:
    """What fine-tuning needs of an encoder, beside features."""

    def end_pretraining(self):
        """Freezes what only pretraining may train."""

    def list_unused_parts(self, uses_global, normalize=True):
        """Returns parts that get no gradient, and so must not train or decay.

        Args:
            uses_global: Boolean. Whether the loss uses the feature of the whole
                image, or only what `encode` returns.
            normalize: Boolean. Whether it uses that after the final norm.
                Defaults to `True`.

        Returns:
            List of layers.
        """
        return []

    def list_tokens(self):
        """Returns learnt tokens and positions that are added to tokens.

        Some methods exempt them from weight decay.

        Returns:
            List of variables.
        """
        return []

    def weights_by_depth(self):
        """Returns the weights in the order in which they are used.

        For learning rates that grow with depth, see
        `keras_capi.optimizers.LayerDecayAdamW`.

        Returns:
            List of `num_layers + 2` lists of variables: what comes before the
            blocks, each block, and what comes after them.
        """
        return split_by_depth(
            self.weights, [block.weights for block in self.blocks]
        )


def split_by_depth(weights, blocks, behind=()):
    """Returns lists of weights: those before, in and after the blocks.

    Args:
        weights: List of all variables.
        blocks: List of lists of variables.
        behind: List of variables.
    """
    later = {id(weight) for part in (*blocks, behind) for weight in part}
    first = [weight for weight in weights if id(weight) not in later]
    return [first, *blocks, list(behind)]
