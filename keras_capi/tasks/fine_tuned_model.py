import keras
import numpy as np
from keras import ops

from keras_capi import backend
from keras_capi.encoders.check_backbone import check_backbone
from keras_capi.encoders.encoder_model import EncoderModel
from keras_capi.fitting.named_arguments import named_arguments
from keras_capi.tasks.check_labelled import check_has_labels
from keras_capi.tasks.check_labelled import check_labelled
from keras_capi.tasks.logits_hint import warn_of_logits
from keras_capi.validation import check_number
from keras_capi.validation import check_positive_integer
from keras_capi.validation import is_array


class FineTunedModel(EncoderModel):
    """Base class of models for labelled images: a backbone and a head.

    Args:
        backbone: `keras_capi.encoders.Encoder`. It is not copied.
        num_classes: Integer. Number of classes.
        freeze_backbone: Boolean. Whether to train only the head.
        dropout: Float in `[0, 1)`.
        uses_global: Boolean. Whether the head takes the global feature, for
            which the encoder may have its own parts.
        normalize: Boolean. Whether the head takes features after the final
            norm. Defaults to `True`.
        last_block: Integer or `None`. Number of the last block whose features
            it takes; `None` is the encoder's last. Defaults to `None`.
    """

    def __init__(
        self,
        backbone,
        num_classes,
        freeze_backbone,
        dropout,
        uses_global,
        normalize=True,
        last_block=None,
        **kwargs,
    ):
        # A `keras.RematScope` is meant for the blocks, see `RotaryViT`.
        with keras.RematScope(mode=None):
            super().__init__(**kwargs)
        check_number("dropout", dropout, "[0, 1)")
        check_positive_integer("num_classes", num_classes)
        check_backbone(backbone)
        self.backbone = backbone
        self.num_classes = num_classes
        self.uses_global = uses_global
        self.normalize = normalize
        self.last_block = last_block or backbone.num_layers
        backbone.end_pretraining()
        # TensorFlow does not call a setter with the current value.
        self._freeze_backbone(freeze_backbone)

    @property
    def freeze_backbone(self):
        """Whether only the head trains; compile again after setting it.

        The same as `not backbone.trainable`.
        """
        return not self.backbone.trainable

    @freeze_backbone.setter
    def freeze_backbone(self, freeze):
        self._freeze_backbone(freeze)

    def _freeze_backbone(self, freeze):
        if self.backbone.trainable == freeze:
            self.backbone.trainable = not freeze
        unused = self._list_unused_parts()
        if not freeze:
            for part in _list_unused(self.backbone, False, False):
                if not part.trainable and part not in unused:
                    # A head before this one did not use it.
                    self.backbone.unfreeze(part)
        self._freeze_unused()

    def _list_unused_parts(self):
        return _list_unused(self.backbone, self.uses_global, self.normalize)

    def _freeze_unused(self):
        # Weights without a gradient would still decay, and Keras warns about
        # them.
        for part in self._list_unused_parts():
            part.trainable = False

    def parameter_groups(self):
        depths = self.backbone.weights_by_depth()
        own = {id(weight) for weight in self.backbone.weights}
        depths[-1] += [x for x in self.weights if id(x) not in own]
        return {
            **{f"depth_{depth}": x for depth, x in enumerate(depths)},
            "vectors": [
                *(x for x in self.weights if len(x.shape) < 2),
                *self.backbone.list_tokens(),
            ],
        }

    def compile(self, *args, **kwargs):
        # The backbone may have been unfrozen as a whole since then.
        self._freeze_unused()
        num_layers = self.backbone.num_layers
        if self.last_block < num_layers and not self.freeze_backbone:
            raise ValueError(
                "A head must take the last block, as later ones would not "
                "train: freeze the backbone, or make an encoder with fewer "
                f"blocks. Received: block {self.last_block} of {num_layers}"
            )
        super().compile(*args, **kwargs)
        if self.classifier.activation is keras.activations.linear:
            warn_of_logits(_only(self.loss))

    def check_labels(self, labels):
        """Raises a `ValueError` if labels are a list, or invalid classes.

        Some backends would train on invalid classes without an error. Labels
        have to be classes only for the sparse categorical cross-entropy: for
        other losses they may be a bit for each class, or a number to predict.
        Labels in data sets are not known before their step: invalid ones make
        the loss raise an error or become NaN, which ends `fit`.

        Args:
            labels: The `y` given to `fit` and similar methods.
        """
        if isinstance(labels, list | tuple) and len(labels) != 1:
            # Keras would take each element for the labels of another output.
            raise ValueError(
                "Labels must be one array: convert a list with `np.array`. "
                f"Received: a {type(labels).__name__} of {len(labels)}"
            )
        # Objects or strings; tensors are always of numbers.
        if getattr(getattr(labels, "dtype", None), "kind", "f") in "OSU":
            raise ValueError(
                "Labels must be numbers: the number of the class, not its "
                f"name. Received: labels of dtype {labels.dtype}"
            )
        if not is_array(labels) or not _takes_classes(self.loss):
            return
        labels = ops.convert_to_numpy(labels)
        ignored = _ignored_class(self.loss)
        valid = (labels >= 0) & (labels < self.num_classes)
        # Losses would drop what comes after the decimal point.
        valid &= labels == np.floor(labels)
        if not (valid | (labels == ignored)).all():
            raise ValueError(
                "Labels must be integers from 0 to `num_classes` - 1. "
                f"Received: labels from {labels.min()} to {labels.max()}, "
                f"num_classes={self.num_classes}"
            )

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        if self.loss is not None:
            check_has_labels(y)
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        if not _takes_classes(self.loss):
            return loss
        ignored = _ignored_class(self.loss)
        return backend.refuse_labels(loss, y, self.num_classes, ignored)

    def fit(self, x=None, y=None, *args, **kwargs):
        kwargs = named_arguments("fit", "batch_size", args, kwargs)
        self._check(x, y, kwargs.get("class_weight"))
        # Checked now, not after the first epoch.
        validation_data = kwargs.get("validation_data")
        if isinstance(validation_data, tuple | list):
            self._check(*validation_data[:2])
        return super().fit(x, y, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        self._check(x, y)
        return super().evaluate(x, y, *args, **kwargs)

    def train_on_batch(self, x, y=None, *args, **kwargs):
        self._check(x, y)
        return super().train_on_batch(x, y, *args, **kwargs)

    def test_on_batch(self, x, y=None, *args, **kwargs):
        self._check(x, y)
        return super().test_on_batch(x, y, *args, **kwargs)

    def _check(self, images, labels=None, class_weight=None):
        self.check_labels(labels)
        # Without a loss to compile, there may be losses without labels.
        if getattr(self, "loss", None) is not None:
            takes_classes = _takes_classes(self.loss)
            check_labelled(self, images, labels, takes_classes, class_weight)


def _list_unused(backbone, uses_global, normalize):
    """Returns the parts of a backbone that a head does not use.

    The feature of the image is made of the map, so that what it does not need,
    the map does not need either.
    """
    unused = list(backbone.list_unused_parts(True, normalize))
    if not uses_global:
        unused += backbone.list_unused_parts(False, normalize)
    return unused


def _takes_classes(loss):
    loss = _only(loss)
    if isinstance(loss, str):
        loss = keras.losses.get(loss)
    sparse = keras.losses.sparse_categorical_crossentropy
    return loss is sparse or isinstance(
        loss, keras.losses.SparseCategoricalCrossentropy
    )


def _ignored_class(loss):
    return getattr(_only(loss), "ignore_class", None)


def _only(loss):
    is_list = isinstance(loss, list | tuple) and len(loss) == 1
    return loss[0] if is_list else loss
