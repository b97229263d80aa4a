"""Tokenizers on the arrays of their authors: DALL-E's, and BEiT's own."""

import numpy as np
from keras import ops

from benchmarks.replay.beit_tokenizer_model import make_dalle
from benchmarks.replay.beit_tokenizer_model import make_vae
from benchmarks.replay.beit_tokenizer_model import pairs_of
from benchmarks.replay.comparison import Replay
from benchmarks.replay.files import channels_last
from benchmarks.replay.files import named
from benchmarks.replay.files import under
from benchmarks.replay.gradients import take_gradient_step
from benchmarks.replay.recording import recorded
from benchmarks.replay.weights import shapes_of
from benchmarks.replay.weights import to_numpy
from keras_capi.ops.gumbel_softmax import gumbel_softmax


def replay(arrays, description):
    """Returns the `Replay` of a file, see `comparison`."""
    result = Replay()
    config = description["configuration"]
    vaes = config.get("discrete_vae", {})
    result.inputs = _inputs(arrays)
    if "dalle" in config:
        result.add("forward", named("dalle/", _dalle(arrays, config["dalle"])))
    for name, settings in vaes.items():
        for group, results in _vae(arrays, name, settings).items():
            result.add(group, named(f"{name}/", results))
    # Of the tests' arrays, which others imply.
    if "left_out" in description:
        result.keep(set(arrays))
    return result


def _inputs(arrays):
    uses = {"images": "images", "exponential_noise": "noise"}
    inputs = {}
    for name in arrays:
        kind = name.partition("/")[2]
        if kind in uses:
            inputs[name] = f"{uses[kind]} of the forward pass"
        if kind.startswith("weights/"):
            inputs[name] = "loaded into the model"
    return inputs


def _channels_first(values):
    return np.moveaxis(to_numpy(values), -1, 1)


def _dalle(arrays, config):
    images = channels_last(arrays["dalle/images"])
    encoder, decoder = make_dalle(arrays, config)
    with recorded({"stem": encoder.stem, **_blocks(encoder)}) as passed:
        scores = encoder(images, training=False)
    words = to_numpy(ops.argmax(scores, axis=-1))
    results = {
        "mapped": _channels_first(encoder.map_pixels(images)),
        "encoder_input": _channels_first(passed["stem"][-1][1]),
        **_groups("encoder", encoder, passed),
        "logits": _channels_first(scores),
        "tokens": words,
    }
    if decoder is None:
        return results
    one_hot = ops.one_hot(words, decoder.vocabulary_size, dtype="float32")
    with recorded(_blocks(decoder)) as passed:
        statistics = decoder(one_hot, training=False)
    return {
        **results,
        **_groups("decoder", decoder, passed),
        "decoder_statistics": _channels_first(statistics),
        "reconstruction": _channels_first(decoder.decode(words)),
    }


def _blocks(model):
    return dict(enumerate(model.blocks))


def _groups(part, model, passed):
    """What a group puts out is seen where it goes in next."""
    results, count = {}, len(model.blocks)
    for index in range(model.num_blocks, count + 1, model.num_blocks):
        is_last = index == count
        calls = passed[index - is_last]
        name = f"{part}_group_{index // model.num_blocks}"
        results[name] = _channels_first(calls[-1][int(is_last)])
    return results


def _vae(arrays, name, config):
    own = under(arrays, f"{name}/")
    inputs = {
        "images": channels_last(own["images"]),
        "noise": channels_last(own["exponential_noise"]),
    }
    num_patches = int(np.prod(inputs["noise"].shape[:3]))
    vae = make_vae(arrays, name, config, num_patches)
    scores = vae.word_scores(inputs["images"])
    words = gumbel_softmax(
        scores, inputs["noise"], vae.temperature, vae.straight_through
    )
    grid_size = inputs["noise"].shape[1:3]
    token_ids = to_numpy(vae.tokenize(inputs["images"], grid_size))
    token_ids = token_ids.reshape(-1, *grid_size)
    losses = vae.compute_losses(inputs, training=False)
    losses = {key: float(to_numpy(value)) for key, value in losses.items()}
    gradients, logs = take_gradient_step(
        vae,
        inputs,
        lambda state: pairs_of(state, vae),
        shapes_of(under(arrays, f"{name}/weights/")),
    )
    vae = make_vae(arrays, name, config, num_patches)
    return {
        "forward": {
            "logits": _channels_first(scores),
            "tokens": token_ids,
            "sampled_embedding": _channels_first(
                ops.matmul(words, ops.convert_to_tensor(vae.codebook))
            ),
            "reconstruction": _channels_first(vae.decode_words(words)),
            "decoded_tokens": _channels_first(vae.decode(token_ids)),
        },
        "losses": {
            "loss": np.array(logs["loss"]),
            "reconstruction_loss": np.array(losses["pixel_loss"]),
        },
        "gradients": named("grad/", gradients),
    }
