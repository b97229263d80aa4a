"""The denoising autoencoder on the arrays of its specification.

No code of its authors is published. The arrays were computed twice, and hold
the model on a transformer and that of 2008.
"""

import numpy as np

from benchmarks.replay.classic_autoencoder import replay_classic
from benchmarks.replay.comparison import Replay
from benchmarks.replay.denoising_autoencoder_model import DRAWS
from benchmarks.replay.denoising_autoencoder_model import NORMALIZATION
from benchmarks.replay.denoising_autoencoder_model import make_model
from benchmarks.replay.denoising_autoencoder_model import pairs_of
from benchmarks.replay.files import named
from benchmarks.replay.files import under
from benchmarks.replay.gradients import take_gradient_step
from benchmarks.replay.recording import recorded
from benchmarks.replay.weights import in_their_layout
from benchmarks.replay.weights import shapes_of
from benchmarks.replay.weights import to_numpy
from keras_capi.ops import join_patches

# Of steps whose rate the configuration does not let change.
UNUSED_BATCH_SIZE = 1
FREQUENCIES = "rope.freqs"
CLASSIC = "classic/"


def replay(arrays, description):
    """Returns the `Replay` of a file, see `comparison`."""
    config = description["configuration"]
    result = Replay(inputs=_inputs(arrays, config))
    result.add("forward", _forward(arrays, config))
    forward, losses = _corruptions(arrays, config)
    result.add("forward", forward)
    result.add("losses", losses)
    result.add("losses", _losses(arrays, config))
    result.add("gradients", _gradients(arrays, config))
    losses, schedules, final = _training(arrays, config)
    result.add("losses", losses)
    result.add("schedules", schedules)
    result.add("final", final)
    result.fixed = {name for name in final if name.endswith(FREQUENCIES)}
    classic = under(arrays, CLASSIC)
    if classic:
        results, inputs = replay_classic(classic, config["classic"])
        for group, values in results.items():
            result.add(group, named(CLASSIC, values))
        result.inputs |= named(CLASSIC, inputs)
    result.notes["masks"] = "there is no sampler of masks to compare with"
    if "shapes" in description:
        result.keep(description["shapes"])
    return result


def _inputs(arrays, config):
    uses = {
        "images": "images of the forward pass",
        "train/images": "images of the training steps",
        f"train/{DRAWS[config['main']]}": "noise of the training steps",
    }
    for name in arrays:
        if name.startswith("noise/"):
            uses[name] = "noise of the forward pass"
        if name.startswith("weights/"):
            uses[name] = "loaded into the model"
    return uses


def _normalized(images):
    pixels = images.astype("float32") / 255.0
    return (pixels - NORMALIZATION) / NORMALIZATION


def _batch(arrays, model, images="images", draws="noise/", step=...):
    """Corrupts images as the arrays' numbers say."""
    images = _normalized(arrays[images][step])
    corruption = model.corruption
    noise = arrays[draws + DRAWS[corruption.kind]][step]
    if corruption.kind == "salt_and_pepper":
        # One number for all channels.
        noise = noise[..., :1]
    grid_size = model.encoder.grid_size(images.shape[1:])
    corrupted = corruption(images, grid_size=grid_size, noise=noise)
    return {
        "images": images,
        **{name: to_numpy(values) for name, values in corrupted.items()},
    }


def _loss(model, batch):
    losses = model.compute_losses(batch, training=False)
    return to_numpy(losses["pixel_loss"])


def _forward(arrays, config):
    model = make_model(arrays, config)
    encoder, batch = model.encoder, _batch(arrays, model)
    images = batch["corrupted_images"]
    layers = {"first": encoder.encoder.blocks[0]}
    with recorded(layers) as passed:
        values = model.predict_pixels(images)
    grid_size = encoder.grid_size(images.shape[1:])
    pixels = join_patches(values, encoder.patch_size, grid_size)
    return {
        "forward/tokens": to_numpy(passed["first"][-1][0]),
        "forward/encoder_output": to_numpy(encoder.encoder(images)),
        "forward/reconstruction": to_numpy(pixels),
    }


def _corruptions(arrays, config):
    """Returns corrupted images and their losses, each by name."""
    images, plain, weighted = {}, {}, {}
    for kind in config["levels"]:
        model = make_model(arrays, config, kind, plain=True)
        batch = _batch(arrays, model)
        images[f"corrupted/{kind}"] = (
            batch["corrupted_images"] * NORMALIZATION + NORMALIZATION
        )
        name = f"losses_by_noise/{kind}"
        plain[name] = _loss(model, batch)
        weighted[name] = _loss(make_model(arrays, config, kind), batch)
    # Whether the emphasis counts here, is not said; most of the arrays tell.
    votes = [
        np.sign(abs(arrays[k] - weighted[k]) - abs(arrays[k] - plain[k]))
        for k in plain
        if k in arrays
    ]
    return images, plain if sum(votes) > 0 else weighted


def _losses(arrays, config):
    models = {
        "loss": make_model(arrays, config),
        "loss_plain": make_model(arrays, config, plain=True),
    }
    return {
        name: _loss(model, _batch(arrays, model))
        for name, model in models.items()
    }


def _gradients(arrays, config):
    model = make_model(arrays, config)
    weights = shapes_of(under(arrays, "weights/"))
    gradients, _ = take_gradient_step(
        model,
        _batch(arrays, model),
        lambda state: pairs_of(state, model),
        weights,
    )
    # The frequencies of the rotary positions are fixed.
    return {
        f"grad/{name}": values
        for name, values in gradients.items()
        if not name.endswith(FREQUENCIES)
    }


def _training(arrays, config):
    model = make_model(arrays, config)
    settings = config["optimizer"]
    steps = len(arrays["train/images"])
    model.compile(
        model.published_optimizer(
            steps,
            UNUSED_BATCH_SIZE,
            # A schedule, as a number would be warmed up.
            learning_rate=lambda step: settings["lr"],
            weight_decay=settings["weight_decay"],
            beta_1=settings["beta1"],
            beta_2=settings["beta2"],
        )
    )
    logs = [
        model.train_on_batch(
            _batch(arrays, model, "train/images", "train/", step),
            return_dict=True,
        )
        for step in range(steps)
    ]
    final = in_their_layout(
        lambda state: pairs_of(state, model),
        shapes_of(under(arrays, "weights/")),
    )
    return (
        {"train/losses": np.array([log["loss"] for log in logs])},
        {"schedule/lr": np.array([log["learning_rate"] for log in logs])},
        named("final/", final),
    )
