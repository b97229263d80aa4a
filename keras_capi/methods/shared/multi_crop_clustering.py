"""Parts of the methods that cluster crops: SwAV and DeepCluster."""

from keras import ops

from keras_capi.fitting.passed_on_arguments import passes_on_to
from keras_capi.layers.views.multi_crop import MultiCrop
from keras_capi.methods.inputs.view_inputs import check_views
from keras_capi.methods.inputs.view_sizes import view_sizes
from keras_capi.optimizers.checks import check_training_size
from keras_capi.optimizers.group import Group
from keras_capi.optimizers.larc import LARC
from keras_capi.optimizers.warmup_cosine import WarmupCosine
from keras_capi.validation import check_non_negative

# The learning rate warms up over ten of them.
PUBLISHED_EPOCHS = 800


def clustering_views(encoder, seed):
    """Returns the published views, in sizes that fit an encoder.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        seed: Integer or `None`.
    """
    return MultiCrop(
        *view_sizes(encoder),
        num_local_views=6,
        global_scale=(0.14, 1.0),
        local_scale=(0.05, 0.14),
        jitter=(0.8, 0.8, 0.8, 0.2),
        blur_rates=(0.5, 0.5, 0.5),
        solarize_rates=(0.0, 0.0, 0.0),
        interpolation="bilinear",
        seed=seed,
    )


class MultiCropClusteringMixin:
    """The optimizer and assignments of methods that cluster crops.

    For a subclass of `keras_capi.training.Pretraining` with an `encoder`, a
    `head` and `prototypes`.
    """

    # Published epochs at the start during which the prototypes are frozen.
    frozen_epochs = 1
    # Names of inputs beside views.
    other_inputs: tuple[str, ...] = ()

    def check_inputs(self, inputs):
        check_views(inputs, self.encoder, self.other_inputs)

    def choose_prototypes(self, features):
        """Assigns images to the prototypes, softly, each by itself.

        The assignments are not balanced, as that would hide a collapse.

        Args:
            features: Float tensor of shape `(batch, global_dim)`: the global
                features that `predict` returns.

        Returns:
            Float32 tensor of shape `(batch, num_prototypes)`, which sums to 1
            over the prototypes. With several clusterings, those of the first.
        """
        scores = self.list_prototypes()[0](self.head(features, training=False))
        temperature = getattr(self, "epsilon", self.temperature)
        return ops.softmax(ops.cast(scores, "float32") / temperature, axis=-1)

    def list_prototypes(self):
        """Returns the prototype layers."""
        return [self.prototypes]

    @passes_on_to(LARC)
    def published_optimizer(
        self,
        total_steps,
        batch_size,
        learning_rate=None,
        frozen_steps=None,
        **overrides,
    ):
        """Returns the published optimizer and its schedule.

        Args:
            total_steps: Integer. Updates of the whole training. The learning
                rate warms up over the first eightieth of them, ten of the
                published 800 epochs.
            batch_size: Integer. Images per batch, over all devices. The
                learning rate is `0.6 * (batch_size / 256)**0.75`, which gives
                both published rates: 0.6 for 256 and 4.8 for 4096.
            learning_rate: Float or schedule, to replace that rate. A float is
                warmed up to from a sixteenth of it, and decays to a thousandth.
                Defaults to `None`.
            frozen_steps: Integer or `None`. Number of updates at the start
                during which the gradient does not change the prototypes. `None`
                is the first published epoch for SwAV, and all updates for
                DeepCluster, whose prototypes come from k-means. Defaults to
                `None`.
            **overrides: Other arguments of `keras_capi.optimizers.LARC`.

        Returns:
            A Keras optimizer.
        """
        check_training_size(total_steps, batch_size)
        if frozen_steps is None:
            frozen_steps = total_steps * self.frozen_epochs // PUBLISHED_EPOCHS
        if learning_rate is None:
            learning_rate = 0.6 * (batch_size / 256) ** 0.75
        if not callable(learning_rate):
            check_non_negative("learning_rate", learning_rate)
            learning_rate = WarmupCosine(
                learning_rate,
                total_steps,
                warmup_steps=total_steps * 10 // PUBLISHED_EPOCHS,
                start_value=learning_rate / 16,
                final_value=learning_rate / 1000,
                truncate=1.0,
            )
        return LARC(
            **{
                "learning_rate": learning_rate,
                "groups": {"prototypes": Group(frozen_steps=frozen_steps)},
                **overrides,
            }
        )

    def parameter_groups(self):
        layers = self.list_prototypes()
        return {
            "prototypes": [v for x in layers for v in x.trainable_variables]
        }

    def list_unused_parts(self):
        return self.encoder.list_unused_parts(uses_global=True)
