from keras_capi.fitting.passed_on_arguments import passes_on_to
from keras_capi.methods.shared.mae_schedule import mae_schedule
from keras_capi.optimizers.adamw import AdamW
from keras_capi.optimizers.checks import check_training_size
from keras_capi.optimizers.group import Group
from keras_capi.training.vectors import list_vectors


class ReconstructionOptimizerMixin:
    """The optimizer of MAE and similar methods.

    For a subclass of `keras_capi.training.Pretraining` that trains an `encoder`
    only through its patches.
    """

    @passes_on_to(AdamW)
    def published_optimizer(
        self,
        total_steps,
        batch_size,
        learning_rate=None,
        weight_decay=0.05,
        beta_1=0.9,
        beta_2=0.95,
        **overrides,
    ):
        """Returns the published optimizer and its schedule.

        Both are those of MAE. Methods published with convolutional networks get
        them instead of plain gradient descent, which does not suit
        transformers.

        Args:
            total_steps: Integer. Updates of the whole training. The learning
                rate warms up over the first twentieth of them.
            batch_size: Integer. Images per batch, over all devices. The
                learning rate is `1.5e-4 * batch_size / 256`.
            learning_rate: Float or schedule, to replace that rate. Defaults to
                `None`.
            weight_decay: Float or schedule. Defaults to `0.05`.
            beta_1: Float. Defaults to `0.9`.
            beta_2: Float. Defaults to `0.95`.
            **overrides: Other arguments of `keras_capi.optimizers.AdamW`.

        Returns:
            A Keras optimizer.
        """
        check_training_size(total_steps, batch_size)
        if learning_rate is None:
            learning_rate = 1.5e-4 * batch_size / 256
        if not callable(learning_rate):
            learning_rate = mae_schedule(
                learning_rate, total_steps, total_steps // 20
            )
        return AdamW(
            **{
                "learning_rate": learning_rate,
                "weight_decay": weight_decay,
                "beta_1": beta_1,
                "beta_2": beta_2,
                "groups": {"vectors": Group(weight_decay_multiplier=0.0)},
                **overrides,
            }
        )

    def parameter_groups(self):
        return {"vectors": list_vectors(self.trainable_variables)}

    def list_unused_parts(self):
        return self.encoder.list_unused_parts(uses_global=False)
