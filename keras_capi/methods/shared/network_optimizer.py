import math

from keras_capi.fitting.passed_on_arguments import passes_on_to
from keras_capi.optimizers.adamw import AdamW
from keras_capi.optimizers.checks import check_training_size
from keras_capi.optimizers.depth_groups import depth_groups
from keras_capi.optimizers.group import Group
from keras_capi.validation import check_non_negative
from keras_capi.validation import check_number


class NetworkOptimizerMixin:
    """The optimizer of DINOv2: networks apart, early layers more slowly.

    For a subclass of `keras_capi.methods.DINO` that has a `mask_token`, and a
    `patch_head` or `None`.
    """

    @passes_on_to(AdamW)
    def published_optimizer(
        self,
        total_steps,
        batch_size,
        learning_rate=None,
        weight_decay=None,
        clip_norm=3.0,
        clip_scope=None,
        frozen_steps=None,
        layer_decay=0.9,
        patch_embedding_multiplier=0.2,
        **overrides,
    ):
        """Returns the published optimizer and its schedules.

        Args:
            total_steps: Integer. Updates of the whole training. The learning
                rate warms up over the first tenth of them.
            batch_size: Integer. Images per batch, over all devices. The
                learning rate is `4e-3 * sqrt(batch_size / 1024)`.
            learning_rate: Float, 1e-6 or more, or schedule, to replace that
                rate. Defaults to `None`.
            weight_decay: Float, schedule, or `None` for a cosine from 0.04 to
                0.4. Defaults to `None`.
            clip_norm: Float or `None`. Defaults to `3.0`.
            clip_scope: String or sequence of strings. What is clipped together,
                or `None` for encoder and heads, each by itself. Defaults to
                `None`.
            frozen_steps: Integer or `None`. Number of updates at the start
                during which the prototypes are frozen; `None` is a hundredth of
                all. Defaults to `None`.
            layer_decay: Float in `(0, 1]`. Ratio of a block's learning rate to
                that of the next block: the smaller, the less early layers
                change. Defaults to `0.9`.
            patch_embedding_multiplier: Float. Additional factor of the learning
                rate of the patch embedding. Defaults to `0.2`.
            **overrides: Other arguments of `keras_capi.optimizers.AdamW`.

        Returns:
            A Keras optimizer.
        """
        check_training_size(total_steps, batch_size)
        check_number("layer_decay", layer_decay, "(0, 1]")
        check_non_negative(
            "patch_embedding_multiplier", patch_embedding_multiplier
        )
        if learning_rate is None:
            learning_rate = 4e-3 * math.sqrt(batch_size / 1024)
        if frozen_steps is None:
            frozen_steps = total_steps // self.published_epochs
        return super().published_optimizer(
            total_steps,
            batch_size,
            learning_rate,
            weight_decay,
            clip_norm,
            clip_scope or list(self.networks()),
            frozen_steps,
            **{
                "groups": self.groups(
                    frozen_steps, layer_decay, patch_embedding_multiplier
                ),
                **overrides,
            },
        )

    def groups(self, frozen_steps, layer_decay, patch_embedding_multiplier):
        """Returns the groups of variables that the optimizer sets apart.

        Args:
            frozen_steps: Integer, as for `published_optimizer`.
            layer_decay: Float, likewise.
            patch_embedding_multiplier: Float, likewise.
        """
        return {
            "vectors": Group(weight_decay_multiplier=0.0),
            "last_layer": Group(frozen_steps=frozen_steps, freeze="rate"),
            "patch_embedding": Group(
                learning_rate_multiplier=patch_embedding_multiplier
            ),
            **depth_groups(self.student.num_layers, layer_decay),
        }

    def networks(self):
        """Returns the weights of encoder and heads, by name."""
        networks = {
            "encoder": [*self.student.weights, *self.mask_token.weights],
            "head": self.head.weights,
        }
        if self.patch_head is not None:
            networks["patch_head"] = self.patch_head.weights
        return networks

    def parameter_groups(self):
        first, *others = self.student.weights_by_depth()
        # A `CAPIBackbone` contains its encoder.
        encoder = getattr(self.student, "encoder", self.student)
        # An encoder of one's own may embed patches in another way.
        embedding = getattr(encoder, "patch_embedding", None)
        depths = [[*first, *self.mask_token.weights], *others]
        return {
            **super().parameter_groups(),
            **self.networks(),
            "patch_embedding": embedding.weights if embedding else [],
            **{f"depth_{depth}": x for depth, x in enumerate(depths)},
        }
