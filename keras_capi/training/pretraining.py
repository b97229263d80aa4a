import contextlib

import keras
from keras import ops

from keras_capi import backend
from keras_capi.encoders.encoder_model import EncoderModel
from keras_capi.fitting.inner_optimizer import inner_optimizer
from keras_capi.fitting.named_arguments import named_arguments
from keras_capi.fitting.non_finite_loss import check_finite_loss
from keras_capi.ops.collectives import global_means
from keras_capi.training.check_encoder import check_encoder
from keras_capi.training.check_inputs import check_images_alone
from keras_capi.training.check_inputs import check_names
from keras_capi.training.check_inputs import named_arrays
from keras_capi.training.check_losses import check_compiled_alone
from keras_capi.training.check_losses import check_losses
from keras_capi.training.check_losses import nan_if_not_finite
from keras_capi.training.mean_of_each import MeanOfEach
from keras_capi.training.moving_average import check_teachers
from keras_capi.validation import check_images
from keras_capi.validation import is_array

ADDED_LOSS = "added_loss"


class Pretraining(EncoderModel):
    """Base class of methods that learn features from images without labels.

    A method is an encoder, the inputs it prepares, and its losses. A subclass
    overrides `prepare` to make masks, views and the like from images, and
    `compute_losses` to compute what it minimises; `loss_weights` names the
    losses to sum. Override `before_update` and `after_update` for what happens
    beside the gradient, such as moving a teacher.

    Only training and evaluation compute losses. `call`, `predict` and `export`
    agree: they return the features of `encoder`, the purpose of it all.

    Losses added by layers, and regularisers, are included.

    Example:

    >>> class Autoencoder(keras_capi.training.Pretraining):
    ...     loss_weights = {"pixel_loss": 1.0}
    ...
    ...     def __init__(self, encoder, **kwargs):
    ...         super().__init__(encoder, **kwargs)
    ...         self.encoder = encoder
    ...         self.head = keras.layers.Dense(encoder.patch_size**2 * 3)
    ...         self.head.build((None, None, encoder.hidden_dim))
    ...         self.built = True
    ...
    ...     def compute_losses(self, inputs, training):
    ...         tokens, positions = self.encoder.embed(inputs["images"])
    ...         encoded = self.encoder.encode(tokens, positions)["patches"]
    ...         target = keras_capi.ops.extract_patches(
    ...             inputs["images"], self.encoder.patch_size
    ...         )
    ...         error = keras.ops.square(self.head(encoded) - target)
    ...         return {"pixel_loss": keras.ops.mean(error)}
    """

    # Maps the name of each loss to its weight; other results are only logged.
    loss_weights: dict[str, float] = {}
    # Names of inputs, such as views, that may be given instead of images.
    instead_of_images: tuple[str, ...] = ()

    def __init__(self, encoder, **kwargs):
        check_encoder(encoder)
        kwargs.setdefault("dtype", encoder.dtype_policy)
        # A `keras.RematScope` is for the blocks, see `RotaryViT`.
        with keras.RematScope(mode=None):
            super().__init__(**kwargs)
        self.means = MeanOfEach()
        self._computes_losses = False

    def __dir__(self):
        # Keras saves each attribute that is listed. The encoder is saved
        # already as a layer, and perhaps as a teacher.
        return [name for name in super().__dir__() if name != "encoder"]

    def prepare(self, inputs, training):
        """Turns images into everything that the losses need.

        Entries that are already there should pass through, so that users can
        give their own.

        Args:
            inputs: Dictionary with `"images"`, a float tensor of shape `(batch,
                height, width, channels)`, and possibly more.
            training: Boolean.

        Returns:
            Dictionary of tensors whose first axis is the batch.
        """
        return inputs

    def compute_losses(self, inputs, training):
        """Returns a dictionary of scalars: the losses, and other values to log.

        Args:
            inputs: Dictionary, as returned by `prepare`.
            training: Boolean.
        """
        raise NotImplementedError

    def before_update(self, step):
        """Runs before each training step; may assign variables.

        Args:
            step: Integer scalar tensor. Number of updates so far.
        """

    def after_update(self, step, applied):
        """Runs after each training step; may assign variables.

        Args:
            step: Integer scalar tensor. Number of updates before this one.
            applied: Boolean scalar tensor. Whether the optimizer applied the
                update. It does not if gradients overflowed in half precision,
                or if a step only accumulates gradients.

        Returns:
            Dictionary of scalars to log.
        """
        return {}

    def list_unused_parts(self):
        """Returns the layers that no loss depends on; `compile` freezes them.

        Optimizers warn about weights without a gradient.
        """
        return []

    def check_inputs(self, inputs):
        """Raises a `ValueError` if arrays given to `fit` do not fit the method.

        Data sets are checked batch by batch instead, when they are read.

        Args:
            inputs: Dictionary of arrays.
        """
        images = inputs.get("images")
        if is_array(images):
            check_images(images, 1, self.encoder.image_shape[-1])

    def call(self, inputs, training=None):
        inputs = inputs if isinstance(inputs, dict) else {"images": inputs}
        if self._computes_losses:
            check_names(inputs, self.instead_of_images)
            prepared = self.prepare(inputs, training)
            return self.compute_losses(prepared, training)
        check_names(inputs)
        return self.encoder(inputs["images"], training=training)

    def compute_output_spec(self, inputs, training=None):
        images = inputs["images"] if isinstance(inputs, dict) else inputs
        return self.encoder.compute_output_spec(images)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        check_images_alone(sample_weight=sample_weight)
        check_losses(y_pred, self.loss_weights)
        # From regularisers, and from layers that call `add_loss`.
        added = sum(
            (ops.cast(loss, "float32") for loss in self.losses),
            start=ops.zeros((), "float32"),
        )
        added = nan_if_not_finite(added, x)
        batch_size = ops.shape(keras.tree.flatten(x)[0])[0]
        results, means, weight = global_means(
            {**y_pred, ADDED_LOSS: added}, batch_size
        )
        self.means.update_state(means, weight, training)
        return self._aggregate_additional_loss(self._total(results))

    def _total(self, results):
        weighted = (
            factor * results[name] for name, factor in self.loss_weights.items()
        )
        return sum(weighted, start=results[ADDED_LOSS])

    def get_metrics_result(self):
        logs = super().get_metrics_result()
        if ADDED_LOSS not in logs:
            return logs
        # Keras only knows this replica's part of the loss.
        total = self._total(logs)
        return {k: v for k, v in logs.items() if k != ADDED_LOSS} | {
            "loss": total
        }

    def train_step(self, *arguments):
        with self._calls_for_losses():
            return backend.train_step(self, super().train_step, arguments)

    def test_step(self, *arguments):
        with self._calls_for_losses():
            return super().test_step(*arguments)

    @contextlib.contextmanager
    def _calls_for_losses(self):
        # Keras's steps call the model once, and pass on what it returns.
        self._computes_losses = True
        try:
            yield
        finally:
            self._computes_losses = False

    def begin_update(self):
        """Begins a training step, see `keras_capi.backend.train_step`."""
        # Copied, as the counter is updated in place on some backends.
        step = ops.convert_to_tensor(self.optimizer.iterations) + 0
        optimizer = inner_optimizer(self.optimizer)
        groups = getattr(optimizer, "group_learning_rates", {})
        rates = {
            "learning_rate": optimizer.learning_rate,
            **{f"{name}_learning_rate": rate for name, rate in groups.items()},
        }
        logs = {k: ops.convert_to_tensor(v) + 0.0 for k, v in rates.items()}
        self.before_update(step)
        return step, logs

    def end_update(self, begun):
        """Ends a training step; returns values to log beside the losses."""
        step, logs = begun
        applied = self.optimizer.iterations > step
        return {**logs, **(self.after_update(step, applied) or {})}

    def compile(self, optimizer="rmsprop", **kwargs):
        """Configures the model for training, see `keras.Model.compile`.

        Args:
            optimizer: A Keras optimizer, preferably from `published_optimizer`.
            **kwargs: Other arguments of `keras.Model.compile`. Do not pass a
                `loss` or `loss_weights`, as the model has its own, nor metrics,
                which compare with labels.
        """
        check_compiled_alone(self, **kwargs)
        for part in self.list_unused_parts():
            part.trainable = False
        super().compile(optimizer, **kwargs)
        backend.check_strategy(self)
        # Built now, so that a model can be saved before it is trained.
        backend.build_optimizer(self)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # There is nothing to build. To find out, Keras 3.15 on TensorFlow would
        # take the mean of a batch over all devices, which Boolean masks lack.
        pass

    def fit(self, x=None, *args, **kwargs):
        kwargs = named_arguments("fit", "y", args, kwargs)
        check_teachers(self)
        self._check(x, **kwargs)
        # Checked now, not after the first epoch.
        validation = kwargs.get("validation_data")
        if isinstance(validation, tuple):
            validation = validation[0]
        self._check(validation)
        return super().fit(x, **kwargs)

    def evaluate(self, x=None, *args, **kwargs):
        kwargs = named_arguments("evaluate", "y", args, kwargs)
        self._check(x, **kwargs)
        backend.check_process_group("evaluate")
        return super().evaluate(x, **kwargs)

    def train_on_batch(self, x, *args, **kwargs):
        kwargs = named_arguments("train_on_batch", "y", args, kwargs)
        check_teachers(self)
        self._check(x, **kwargs)
        logs = super().train_on_batch(x, **kwargs)
        loss = logs["loss"] if isinstance(logs, dict) else logs[0]
        step = int(ops.convert_to_numpy(self.optimizer.iterations))
        check_finite_loss(loss, step)
        return logs

    def test_on_batch(self, x, *args, **kwargs):
        kwargs = named_arguments("test_on_batch", "y", args, kwargs)
        self._check(x, **kwargs)
        return super().test_on_batch(x, **kwargs)

    def _check(self, inputs, **arguments):
        check_images_alone(**arguments)
        arrays = named_arrays(inputs, self.instead_of_images)
        if arrays is not None:
            self.check_inputs(arrays)

    def export(self, filepath, *args, **kwargs):
        """Exports the encoder: the network that `predict` runs.

        Args:
            filepath: String or path.
            *args: Other arguments of `keras.Model.export`.
            **kwargs: The same.
        """
        return self.encoder.export(filepath, *args, **kwargs)
