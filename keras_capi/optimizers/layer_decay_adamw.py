import keras

from keras_capi.optimizers.adamw import AdamW
from keras_capi.optimizers.depth_groups import depth_groups
from keras_capi.optimizers.group import Group
from keras_capi.validation import check_number
from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class LayerDecayAdamW(AdamW):
    """AdamW that changes the early layers of a backbone less than late ones.

    For fine-tuning: early layers know what images are like in general, while
    late ones have to learn the task. The learning rate of a block is
    `layer_decay` times that of the next block; the head has the full rate, the
    patch embedding the smallest. Weight decay applies to matrices, not to
    biases, norm scales, class token, registers and learnt positions.

    The model names the groups by depth: with `L` blocks `"depth_0"` is the
    patch embedding, tokens and positions, `"depth_1"` to `"depth_L"` are the
    blocks, `"depth_{L + 1}"` is what follows; and `"vectors"` is everything
    that does not decay.

    Args:
        learning_rate: Float or schedule. Learning rate of the head. Defaults to
            `1e-3`.
        num_layers: Integer. Number of blocks of the encoder,
            `backbone.num_layers`. Defaults to `24`.
        layer_decay: Float in `(0, 1]`. The smaller, the less early layers
            change. Defaults to `0.75`.
        weight_decay: Float. Defaults to `0.05`.
        beta_1: Float. Defaults to `0.9`.
        beta_2: Float. Defaults to `0.999`.
        epsilon: Float. Defaults to `1e-8`.
        **kwargs: Other arguments of `keras_capi.optimizers.AdamW`, except for
            `groups`.

    Raises:
        ValueError: If an argument is out of range, or `num_layers` is not that
            of the model.

    Example:

    >>> classifier.compile(
    ...     keras_capi.optimizers.LayerDecayAdamW(
    ...         1e-3, num_layers=classifier.backbone.num_layers
    ...     ),
    ...     keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    ... )

    Reference:

    - [BEiT](https://arxiv.org/abs/2106.08254), appendix (fine-tuning)
    """

    def __init__(
        self,
        learning_rate=1e-3,
        num_layers=24,
        layer_decay=0.75,
        weight_decay=0.05,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        **kwargs,
    ):
        check_positive_integer("num_layers", num_layers)
        check_number("layer_decay", layer_decay, "(0, 1]")
        groups = depth_groups(num_layers, layer_decay)
        super().__init__(
            learning_rate,
            weight_decay,
            beta_1,
            beta_2,
            epsilon,
            groups={**groups, "vectors": Group(weight_decay_multiplier=0.0)},
            **kwargs,
        )
        self.num_layers = num_layers
        self.layer_decay = layer_decay

    def assign_groups(self, groups):
        num_blocks = sum(name.startswith("depth_") for name in groups) - 2
        if num_blocks not in (-2, self.num_layers):
            raise ValueError(
                "`num_layers` must be that of the encoder, "
                "`backbone.num_layers`. Received: "
                f"num_layers={self.num_layers} for {num_blocks} blocks"
            )
        super().assign_groups(groups)

    def get_config(self):
        config = super().get_config()
        del config["groups"]
        return {
            **config,
            "num_layers": self.num_layers,
            "layer_decay": self.layer_decay,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        # Files of former versions have it, like Keras's AdamW.
        config = {k: v for k, v in config.items() if k != "amsgrad"}
        return super().from_config(config, custom_objects)
