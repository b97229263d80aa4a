import contextlib
import functools
import math

import keras

from keras_capi import backend
from keras_capi.fitting.batch_size_of import batch_size_of
from keras_capi.fitting.batch_size_of import first_array
from keras_capi.fitting.inner_optimizer import inner_optimizer
from keras_capi.fitting.known_weights import check_known_weights
from keras_capi.fitting.named_arguments import named_arguments
from keras_capi.fitting.rate_callbacks import check_rate_callbacks
from keras_capi.fitting.raw_pixels import examined_batch
from keras_capi.fitting.raw_pixels import warn_of_raw_pixels
from keras_capi.fitting.resume import fit_from_checkpoint
from keras_capi.fitting.step_logs import StepLogs
from keras_capi.saving.base_model import BaseModel
from keras_capi.validation import check_positive_integer
from keras_capi.validation import is_array


class GuardedModel(BaseModel):
    """A model that keeps its weights when a batch is rejected.

    The base class of this package's models that train or predict: bad input
    must not ruin a training, see `keras_capi.backend.restored_on_error`. In a
    torch process group it starts from the values of the first process and
    averages the gradients.
    """

    # Set during `fit`.
    _step_logs = None
    # Set when the training function is made; `None` is never.
    _compiles_blocks_after = None

    @contextlib.contextmanager
    def _guarded(self):
        backend.check_keras_version()
        # Around the steps, as batches are copied between them.
        with (
            backend.numbers_made_on_device(),
            backend.restored_on_error(self),
        ):
            yield

    @property
    def trainable_weights(self):
        def list_weights():
            return super(GuardedModel, self).trainable_weights

        return backend.listed_weights(self, list_weights)

    def parameter_groups(self):
        """Returns the groups of weights that an optimizer may set apart.

        Returns:
            Dictionary from the name of a group, as used by
            `keras_capi.optimizers.AdamW`, to its variables.
        """
        return {}

    def check_batch_size(self, batch_size):
        """Raises a `ValueError` if nothing can be learned from such batches.

        Args:
            batch_size: Integer, or `None` if it is not known.
        """

    def compile(self, optimizer="rmsprop", *args, **kwargs):
        kwargs = named_arguments("compile", "loss", args, kwargs)
        self._chooses_compiler = kwargs.get("jit_compile", "auto") == "auto"
        super().compile(optimizer, **kwargs)
        optimizer = inner_optimizer(self.optimizer)
        if hasattr(optimizer, "assign_groups"):
            optimizer.assign_groups(self.parameter_groups())

    def get_compile_config(self):
        config = super().get_compile_config()
        if config and self._chooses_compiler:
            # Keras records its own choice, made for this backend and machine.
            config["jit_compile"] = "auto"
        return config

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        backend.build_optimizer(self)

    def make_train_function(self, force=False):
        former = self.train_function
        with backend.compiled_training(self, self._chooses_compiler):
            super().make_train_function(force)
        if self.train_function is not former:
            # Not at each step, as this looks at every layer.
            self._compiles_blocks_after = backend.num_eager_steps(
                self, self._chooses_compiler
            )
            self.train_function = backend.with_logs(
                backend.keeps_memory(self.train_function), self._receive_logs
            )

    def _receive_logs(self, logs):
        return self._step_logs.receive(logs) if self._step_logs else logs

    def train_step(self, *args):
        with (
            backend.averaged_gradients(self.optimizer),
            backend.compiled_blocks(self, self._compiles_blocks_after),
            backend.weights_listed_once(self),
        ):
            return super().train_step(*args)

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        *args,
        **kwargs,
    ):
        kwargs = named_arguments("fit", "validation_split", args, kwargs)
        backend.check_launched_process()
        check_rate_callbacks(self, callbacks)
        check_known_weights(self)
        kwargs = _with_plain_sizes({"batch_size": batch_size, **kwargs})
        batch_size = kwargs.pop("batch_size")
        _check_given("fit", x)
        # Now, not after the first epoch.
        validation = kwargs.get("validation_data")
        is_tuple = isinstance(validation, tuple) and validation
        validation = validation[0] if is_tuple else validation
        _check_not_empty(validation)
        if validation is None:
            validation = _held_out(x, kwargs.get("validation_split"))
        validation_batch_size = kwargs.get("validation_batch_size")
        self.check_batch_size(
            batch_size_of(validation, validation_batch_size or batch_size)
        )
        batch = examined_batch(x)
        warn_of_raw_pixels(batch)
        images_per_step = batch_size_of(x, batch_size, batch)
        self.check_batch_size(images_per_step)
        fit = functools.partial(
            self._fit, x, y, batch_size, verbose=verbose, **kwargs
        )
        return fit_from_checkpoint(
            self, fit, epochs, callbacks, images_per_step
        )

    def _fit(self, x, *args, callbacks, validation_data=None, **kwargs):
        kwargs["validation_data"] = backend.tupled_batches(validation_data)
        step_logs = StepLogs(callbacks)
        # First, so that a bad loss is noticed before other callbacks record it.
        callbacks = [step_logs, *callbacks]
        former, self._step_logs = self._step_logs, step_logs
        try:
            with self._guarded():
                backend.check_process_group("fit")
                backend.share_variables(self)
                return super().fit(
                    backend.tupled_batches(x),
                    *args,
                    callbacks=callbacks,
                    **kwargs,
                )
        finally:
            self._step_logs = former

    def evaluate(self, x=None, *args, **kwargs):
        kwargs = named_arguments("evaluate", "y", args, kwargs)
        if not self.compiled:
            # Keras on torch fails later, for lack of an optimizer.
            raise ValueError(
                "Call `compile` before `evaluate`. Received: "
                f"{type(self).__name__}, which is not compiled"
            )
        with self._guarded():
            kwargs = _with_plain_sizes(kwargs)
            _check_given("evaluate", x)
            self.check_batch_size(batch_size_of(x, kwargs.get("batch_size")))
            return super().evaluate(backend.tupled_batches(x), **kwargs)

    def predict(self, x=None, *args, **kwargs):
        kwargs = named_arguments("predict", "batch_size", args, kwargs)
        with self._guarded():
            kwargs = _with_plain_sizes(kwargs)
            _check_given("predict", x)
            if is_array(x):
                # Checked now: TensorFlow graphs may not know the sizes of
                # images, and would fail halfway.
                self.compute_output_spec(x)
            return super().predict(backend.tupled_batches(x), **kwargs)

    def train_on_batch(self, x, *args, **kwargs):
        backend.check_launched_process()
        check_known_weights(self)
        _check_not_empty(x)
        self.check_batch_size(batch_size_of(x, None))
        with self._guarded():
            return super().train_on_batch(x, *args, **kwargs)

    def test_on_batch(self, x, *args, **kwargs):
        _check_not_empty(x)
        self.check_batch_size(batch_size_of(x, None))
        with self._guarded():
            return super().test_on_batch(x, *args, **kwargs)

    def predict_on_batch(self, *args, **kwargs):
        with self._guarded():
            return super().predict_on_batch(*args, **kwargs)


def _with_plain_sizes(arguments):
    """Returns arguments with batch sizes that Keras takes, or raises an error.

    Keras would replace or fail late on others, and NumPy's integers fail on
    torch.
    """
    sizes = {}
    for name in ("batch_size", "validation_batch_size"):
        check_positive_integer(name, arguments.get(name), or_none=True)
        if arguments.get(name) is not None:
            sizes[name] = int(arguments[name])
    return {**arguments, **sizes}


def _check_given(method, x):
    """Raises a `ValueError` for no images, where Keras ends in a `KeyError`."""
    if x is None:
        raise ValueError(
            f"`{method}` must be given images, as `x`. Received: x=None"
        )
    _check_not_empty(x)


def _held_out(x, validation_split):
    """Returns the images that Keras takes from arrays for validation."""
    images = first_array(x)
    if not validation_split or not is_array(images):
        return None
    return images[math.floor(len(images) * (1.0 - validation_split)) :]


def _check_not_empty(x):
    """Raises a `ValueError` for arrays without images; Keras does not."""
    for images in x.values() if isinstance(x, dict) else (x,):
        if is_array(images) and tuple(images.shape[:1]) == (0,):
            raise ValueError(
                "There must be at least one image. Received: an array of shape "
                f"{tuple(images.shape)}"
            )
