import keras
from keras import ops

from keras_capi import backend
from keras_capi.encoders.backbone_model import BackboneModel
from keras_capi.encoders.backbone_weights import check_trainable
from keras_capi.encoders.backbone_weights import copy_weights
from keras_capi.fitting.named_arguments import named_arguments
from keras_capi.fitting.non_finite_loss import check_finite_loss
from keras_capi.layers.masking.inverse_block_masking import InverseBlockMasking
from keras_capi.layers.related_seed import related_seed
from keras_capi.methods.masked_inputs import check_inputs
from keras_capi.methods.masked_inputs import check_no_weights
from keras_capi.methods.patch_indices import INDEX_NAMES
from keras_capi.methods.patch_indices import check_index_shapes
from keras_capi.ops.collectives import global_means
from keras_capi.ops.tokens import indices_are_distinct
from keras_capi.ops.tokens import to_int32
from keras_capi.validation import check_images
from keras_capi.validation import check_number
from keras_capi.validation import check_seed

# What is added to the losses, as a metric that is logged as a part of them.
ADDED_LOSS = "added_loss"


class MaskedPrediction(BackboneModel):
    """Base of models that predict what a teacher sees in hidden patches.

    Holds what does not depend on the kind of target: the masking, the student,
    the teacher as its moving average, and the training step. A subclass says in
    `compute_losses` what the targets are, lists in `loss_names` which of its
    results are summed to the loss, and in `log_names` which others are logged.

    Args:
        backbone: `CAPIBackbone`, the student. The teacher starts as its copy.
        masking: Masking layer or `None` for `InverseBlockMasking`. Defaults to
            `None`.
        ema_momentum: Float in [0, 1], or a schedule of it. Defaults to `0.999`.
        seed: Integer or `None`. Seed of the default masking. Defaults to
            `None`.
    """

    loss_names: tuple[str, ...] = ()
    log_names: tuple[str, ...] = ()

    def __init__(
        self, backbone, masking=None, ema_momentum=0.999, seed=None, **kwargs
    ):
        kwargs.setdefault("dtype", backbone.dtype_policy)
        # A `keras.RematScope` is for the blocks, see `RotaryViT`.
        with keras.RematScope(mode=None):
            super().__init__(**kwargs)
            check_seed("seed", seed)
            self.seed = seed
            self.masking = masking or InverseBlockMasking(
                seed=related_seed(seed, 2)
            )
        if not callable(ema_momentum):
            check_number("ema_momentum", ema_momentum, "[0, 1]")
        self.ema_momentum = ema_momentum
        if self.trainable:
            check_trainable(backbone)
        self.student = backbone
        # A teacher only infers: it needs no stochastic depth.
        config = {**backbone.get_config(), "drop_path_rate": 0.0}
        with keras.RematScope(mode=None):
            self.teacher = type(backbone).from_config(
                {**config, "name": "teacher"}
            )
        self.teacher.trainable = False
        copy_weights(self.student, self.teacher)
        self.trackers = [
            keras.metrics.Mean(name=name)
            for name in (*self.loss_names, *self.log_names, ADDED_LOSS)
        ]

    def averaged_pairs(self):
        """Returns pairs of a student's part and its moving average."""
        return [(self.student, self.teacher)]

    def compute_losses(
        self, images, visible_indices, predict_indices, training
    ):
        """Returns a dictionary of scalars: the losses and what else to log.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`.
            visible_indices: Int32 tensor of shape `(batch, visible)`.
            predict_indices: Int32 tensor of shape `(batch, predictions)`.
            training: Boolean.
        """
        raise NotImplementedError

    def call(self, inputs, training=None):
        inputs = inputs if isinstance(inputs, dict) else {"images": inputs}
        images = inputs["images"]
        check_images(
            images, self.student.patch_size, self.student.image_shape[-1]
        )
        grid_size = self._static_grid_size(images)
        if len(inputs) == 1:
            indices = self.masking(images, grid_size=grid_size)
            return self.compute_losses(images, training=training, **indices)
        check_index_shapes(inputs)
        indices = {name: to_int32(inputs[name]) for name in INDEX_NAMES}
        results = self.compute_losses(images, training=training, **indices)
        # A compiled step cannot raise, and gathering may not either.
        num_patches = grid_size[0] * grid_size[1]
        valid = indices_are_distinct(*indices.values(), num_patches)
        return {
            name: ops.where(valid, result, float("nan"))
            for name, result in results.items()
        }

    def _static_grid_size(self, images):
        sizes = [
            size or known
            for size, known in zip(
                images.shape[1:3], self.student.image_shape[:2], strict=True
            )
        ]
        if None in sizes:
            raise ValueError(
                "Height and width of `images` must be known when the training "
                "step is compiled, and on TensorFlow be the same in all "
                "batches: resize or crop the images to one size, and give it "
                "to the backbone as `image_shape` if the data set does not "
                f"tell it. Received: images.shape={tuple(images.shape)}"
            )
        return tuple(size // self.student.patch_size for size in sizes)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        check_no_weights(sample_weight=sample_weight)
        images = x["images"] if isinstance(x, dict) else x
        # Of regularisers, and of layers that call `add_loss`.
        added = sum(
            (ops.cast(loss, "float32") for loss in self.losses),
            start=ops.zeros((), "float32"),
        )
        results, means, weight = global_means(
            {**y_pred, ADDED_LOSS: added}, ops.shape(images)[0]
        )
        for tracker in self.trackers:
            tracker.update_state(means[tracker.name], sample_weight=weight)
        return self._aggregate_additional_loss(
            sum(results[name] for name in (*self.loss_names, ADDED_LOSS))
        )

    def get_metrics_result(self):
        logs = super().get_metrics_result()
        # Keras knows this replica's part of the loss only.
        loss = logs.pop(ADDED_LOSS) + sum(logs[n] for n in self.loss_names)
        return {**logs, "loss": loss}

    def train_step(self, *arguments):
        return backend.train_step(self, super().train_step, arguments)

    def before_update(self):
        """Returns the values that hold for the coming step."""
        optimizer = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        # Copied, as the counter is updated in place on some backends.
        iterations = ops.convert_to_tensor(self.optimizer.iterations) + 0
        momentum = self.ema_momentum
        if callable(momentum):
            momentum = momentum(iterations)
        names = ("learning_rate", "clustering_learning_rate")
        logs = {
            name: ops.convert_to_tensor(getattr(optimizer, name)) + 0.0
            for name in names
            if hasattr(optimizer, name)
        }
        logs["ema_momentum"] = ops.convert_to_tensor(momentum, "float32")
        return iterations, logs

    def after_update(self, before):
        """Moves the teacher, unless the optimizer skipped the step.

        That is so if gradients overflowed in half precision, and in the steps
        that only accumulate gradients.
        """
        iterations, logs = before
        momentum = ops.where(
            self.optimizer.iterations > iterations, logs["ema_momentum"], 1.0
        )
        pairs = [
            pair
            for part, average in self.averaged_pairs()
            for pair in zip(average.weights, part.weights, strict=True)
            if pair[1].trainable
        ]
        backend.move_average(*zip(*pairs, strict=True), momentum)
        return logs

    def compile(self, optimizer="rmsprop", **kwargs):
        """Configures the training, see `keras.Model.compile`.

        Args:
            optimizer: A Keras optimizer, best from
                `keras_capi.optimizers.capi_optimizer`.
            **kwargs: Other arguments of `keras.Model.compile`. There is no
                `loss` to pass: the model has its own.
        """
        if kwargs.get("loss") is not None:
            raise ValueError(
                f"{type(self).__name__} computes its own losses; call "
                f"`compile` without `loss`. Received: loss={kwargs['loss']}"
            )
        multiplier = getattr(optimizer, "rotary_learning_rate_multiplier", None)
        if multiplier is not None:
            self.student.set_rotary_trainable(multiplier > 0)
        super().compile(optimizer, **kwargs)
        backend.check_strategy(self)
        # Now, so that a model can be saved before it is trained.
        self.optimizer.build(self.trainable_variables)

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

    def fit(self, x=None, *args, **kwargs):
        kwargs = named_arguments("fit", "y", args, kwargs)
        check_inputs(self.student, x, **kwargs)
        # Now, and not after the first epoch.
        validation = kwargs.get("validation_data")
        if isinstance(validation, tuple):
            validation = validation[0]
        check_inputs(self.student, validation)
        return super().fit(x, **kwargs)

    def evaluate(self, x=None, *args, **kwargs):
        kwargs = named_arguments("evaluate", "y", args, kwargs)
        check_inputs(self.student, x, **kwargs)
        backend.check_process_group("evaluate")
        return super().evaluate(x, **kwargs)

    def train_on_batch(self, x, *args, **kwargs):
        kwargs = named_arguments("train_on_batch", "y", args, kwargs)
        check_inputs(self.student, x, **kwargs)
        logs = super().train_on_batch(x, **kwargs)
        loss = logs["loss"] if isinstance(logs, dict) else logs[0]
        step = int(ops.convert_to_numpy(self.optimizer.iterations))
        check_finite_loss(loss, step)
        return logs

    def test_on_batch(self, x, *args, **kwargs):
        kwargs = named_arguments("test_on_batch", "y", args, kwargs)
        check_inputs(self.student, x, **kwargs)
        return super().test_on_batch(x, **kwargs)

    def predict(self, x, *args, **kwargs):
        """Returns the teacher's features, see `CAPIBackbone`.

        Args:
            x: Images, as arrays or a data set.
            *args: Other arguments of `keras.Model.predict`.
            **kwargs: Likewise.

        Returns:
            Dictionary of arrays: `"global"`, `"registers"`, `"feature_map"`.
        """
        return self.teacher.predict(x, *args, **kwargs)

    def predict_on_batch(self, x):
        return self.teacher.predict_on_batch(x)

    def export(self, filepath, *args, **kwargs):
        """Writes the teacher to a file: what `predict` runs.

        Args:
            filepath: String or path.
            *args: Other arguments of `keras.Model.export`.
            **kwargs: Likewise.
        """
        return self.teacher.export(filepath, *args, **kwargs)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        momentum = self.ema_momentum
        return {
            **super().get_config(),
            "backbone": serialize(self.student),
            "masking": serialize(self.masking),
            "ema_momentum": (
                serialize(momentum) if callable(momentum) else momentum
            ),
            "seed": self.seed,
        }
