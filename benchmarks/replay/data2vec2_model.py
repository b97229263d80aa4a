"""data2vec 2.0 as a file describes it, and where its weights go."""

import keras
import numpy as np

import keras_capi
from benchmarks.replay.files import under
from benchmarks.replay.weights import assign
from keras_capi.convert.data2vec2_keys import paired_network
from keras_capi.convert.data2vec2_keys import select_model

PARTS = ("student", "teacher")


class GivenNoise(keras.layers.Layer):
    """Stands for the random numbers of a decoder, which are given.

    They are a weight: a compiled step would take them for a constant.
    """

    def __init__(self, shape):
        super().__init__()
        self.noise = self.add_weight(
            name="noise", shape=shape, initializer="zeros", trainable=False
        )
        self.built = True

    def normal(self, shape):
        return self.noise.value


class Decoder(keras_capi.decoders.ConvolutionalPredictor):
    """The decoder with given noise.

    Args:
        num_rows: Integer. Masks of a batch.
        *arguments: Those of the decoder.
        **keywords: Likewise.
    """

    def __init__(self, *arguments, num_rows, **keywords):
        self.num_rows = num_rows
        super().__init__(*arguments, **keywords)

    def build(self, *arguments):
        super().build(*arguments)
        rows, columns = self.grid_size
        self.random_state = GivenNoise(
            (self.num_rows, rows * columns, self.hidden_dim)
        )


def make_model(arrays, config):
    """Returns the model of a file with its initial weights.

    Args:
        arrays: Dictionary from name to array.
        config: The configuration that stands beside them.
    """
    sizes, decoder = config["model"], config["decoder"]
    encoder = _make_encoder(arrays, config)
    num_masks = sizes["clone_batch"]
    num_rows = len(arrays["images"]) * num_masks
    top, depth = sizes["average_top_k_layers"], encoder.num_layers
    model = keras_capi.methods.Data2Vec2(
        encoder,
        decoder=Decoder.for_encoder(
            encoder,
            num_rows=num_rows,
            num_layers=decoder["decoder_layers"],
            kernel_size=decoder.get("decoder_kernel", 3),
            num_groups=decoder.get("decoder_groups", 16),
            noise_deviation=config["image"].get("mask_noise_std", 0.01),
            convolution_dim=decoder.get("decoder_dim"),
        ),
        num_masks=num_masks,
        target_layers=tuple(range(depth - top + 1, depth + 1)),
        # Theirs is a sum over the masks of a device.
        class_weight=sizes["cls_loss"] * num_rows,
        ema_momentum=make_momentum(sizes),
    )
    assign(pairs_of(model, PARTS)(under(arrays, "weights/")))
    return model


def _make_encoder(arrays, config):
    model, image = config["model"], config["image"]
    _, num_channels, height, width = arrays["images"].shape
    return keras_capi.encoders.ViT(
        image["patch_size"],
        image["prenet_depth"] + model["depth"],
        model["embed_dim"],
        model["num_heads"],
        image_shape=(height, width, num_channels),
        mlp_dim=int(model["embed_dim"] * model["mlp_ratio"]),
        positions="sine",
        post_norm=True,
    )


def make_momentum(config):
    """Returns that of the moving average, which counts updates from 1."""
    start, end = config["ema_decay"], config["ema_end_decay"]
    num_steps = config["ema_anneal_end_step"]
    if num_steps == 1:
        return end
    return keras.optimizers.schedules.PolynomialDecay(
        start + (end - start) / num_steps, num_steps - 1, end
    )


def pairs_of(model, parts):
    """Returns the function that pairs weights with arrays.

    Args:
        model: `keras_capi.methods.Data2Vec2`.
        parts: Sequence of `"student"`, with the decoder, and `"teacher"`.

    Returns:
        Function from a dictionary, from the authors' name, with `"student."` or
        `"teacher."` in front, to array, to pairs of a weight and its value in
        our layout.
    """

    def pair(state):
        own = select_model(
            {
                key.removeprefix("student.").replace("teacher.", "_ema."): value
                for key, value in state.items()
            },
            "the file",
        )
        return [
            entry
            for part in parts
            for entry in paired_network(under(own, f"{part}."), model, part)
        ]

    return pair


def take_noise(model, noise, mask):
    """Lets the decoder put noise where patches are hidden.

    Args:
        model: What `make_model` returns.
        noise: Float array of shape `(masks, hidden, hidden_dim)`.
        mask: Boolean array of shape `(masks, patches)`, true where hidden.
    """
    given = model.decoder.random_state.noise
    placed = np.zeros(given.shape, "float32")
    placed[mask] = noise.reshape(-1, noise.shape[-1])
    given.assign(placed)
