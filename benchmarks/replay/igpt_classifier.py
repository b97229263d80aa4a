"""Image GPT with the classifier that its authors fine-tune along."""

import keras
from keras import ops

import keras_capi


class ClassifyingImageGPT(keras_capi.methods.ImageGPT):
    """Adds the cross-entropy of classes, of the mean of all places.

    Beside the images come `"labels"`, a probability of each class. Features of
    the encoder must be those of its last block.
    """

    loss_weights = {"color_loss": 1.0, "class_loss": 1.0}

    def __init__(self, encoder, num_classes, **kwargs):
        super().__init__(encoder, **kwargs)
        self.classifier = keras.layers.Dense(num_classes, use_bias=False)
        self.classifier.build((None, encoder.hidden_dim))

    def check_inputs(self, inputs):
        super().check_inputs(_without_labels(inputs))

    def prepare(self, inputs, training):
        prepared = super().prepare(_without_labels(inputs), training)
        return {**prepared, "labels": inputs["labels"]}

    def compute_losses(self, inputs, training):
        losses = super().compute_losses(_without_labels(inputs), training)
        hidden = {}
        if "mask" in inputs:
            hidden["mask"] = inputs["mask"]
            hidden["mask_token"] = ops.zeros((self.encoder.hidden_dim,))
        encoded = self.encoder.encode_images(inputs["images"], **hidden)
        logits = self.classifier(ops.mean(encoded["patches"], axis=1))
        errors = ops.categorical_crossentropy(
            inputs["labels"], logits, from_logits=True
        )
        return {**losses, "class_loss": ops.mean(errors)}


def _without_labels(inputs):
    return {k: v for k, v in inputs.items() if k != "labels"}
