"""Image GPT as a file describes it."""

import keras_capi
from benchmarks.replay.igpt_classifier import ClassifyingImageGPT
from benchmarks.replay.weights import assign
from keras_capi.convert.image_gpt_keys import CLASSIFIER
from keras_capi.convert.image_gpt_keys import START_TOKEN
from keras_capi.convert.image_gpt_keys import paired_image_gpt

NUM_CHANNELS = 3


def make_model(weights, config, causal, num_classes):
    """Returns the model with its initial weights.

    Args:
        weights: Dictionary from the authors' name to array.
        config: Dictionary, the file's configuration.
        causal: Boolean.
        num_classes: Integer. Of the classifier, if there is one.
    """
    encoder = keras_capi.encoders.ImageGPTEncoder(
        config["n_layer"],
        config["n_embd"],
        config["n_head"],
        # To the network, an image is a row.
        image_size=(1, config["n_ctx"]),
        num_channels=NUM_CHANNELS,
        num_colors=config["n_vocab"],
        causal=causal,
        feature_layer=config["n_layer"],
    )
    if config["clf"]:
        model = ClassifyingImageGPT(encoder, num_classes)
    else:
        model = keras_capi.methods.ImageGPT(encoder)
    assign(pairs_of(weights, model))
    return model


def pairs_of(weights, model):
    """Pairs weights with their values in our layout.

    Args:
        weights: Dictionary from the authors' name to array.
        model: `keras_capi.methods.ImageGPT`. If it is not causal, the start
            token of the file belongs to nothing.
    """
    left_out = (
        {CLASSIFIER} if model.encoder.causal else {CLASSIFIER, START_TOKEN}
    )
    yield from paired_image_gpt(
        {k: v for k, v in weights.items() if k not in left_out}, model
    )
    if isinstance(model, ClassifyingImageGPT):
        yield model.classifier.kernel, weights[CLASSIFIER].T
