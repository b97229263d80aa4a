"""The context encoder on the arrays of its specification.

Its code, for Torch 7, cannot be run any more: the arrays were computed from it.
"""

import numpy as np
from keras import ops

from benchmarks.replay.comparison import Replay
from benchmarks.replay.context_encoder_model import DISCRIMINATOR
from benchmarks.replay.context_encoder_model import NORMALIZATION
from benchmarks.replay.context_encoder_model import discriminator_pairs
from benchmarks.replay.context_encoder_model import make_model
from benchmarks.replay.context_encoder_model import pairs_of
from benchmarks.replay.files import named
from benchmarks.replay.files import under
from benchmarks.replay.gradients import take_gradient_step
from benchmarks.replay.recording import recorded
from benchmarks.replay.region_masks import sampled_masks
from benchmarks.replay.weights import in_their_layout
from benchmarks.replay.weights import shapes_of
from benchmarks.replay.weights import to_numpy
from keras_capi.backend import value_and_gradients
from keras_capi.ops import binary_cross_entropy
from keras_capi.ops import join_patches

# Of steps whose rate does not depend on it.
UNUSED_BATCH_SIZE = 1
FREQUENCIES = "rope.freqs"
# The columns of the losses.
LOGS = (
    "discriminator_loss",
    "adversarial_loss",
    "unweighted_pixel_loss",
    "loss",
)


def replay(arrays, description):
    """Returns the `Replay` of a file, see `comparison`.

    There may be masks among the arrays, and nothing else.
    """
    result = Replay()
    if "masks" in description:
        result.add("masks", sampled_masks(description["masks"]))
    else:
        result.notes["masks of the sampler"] = "no file of masks is there"
    if "configuration" not in description:
        return result
    config = description["configuration"]
    result.inputs = _inputs(arrays)
    forward, losses = _forward(arrays, config)
    result.add("forward", forward)
    result.add("losses", losses)
    result.add("gradients", _gradients(arrays, config))
    losses, schedules, final = _training(arrays, config)
    result.add("losses", losses)
    result.add("schedules", schedules)
    result.add("final", final)
    result.fixed = {name for name in final if name.endswith(FREQUENCIES)}
    if "left_out" in description:
        result.keep(description["shapes"])
    return result


def _inputs(arrays):
    uses = {
        "images": "images of the forward pass",
        "mask": "mask of the forward pass",
        "train/images": "images of the training steps",
        "train/masks": "masks of the training steps",
        "train_published_order/losses": "not one: where the encoder's "
        "gradient goes through activations of the discriminator from before "
        "its update, which no implementation need repeat",
    }
    for name in arrays:
        if name.startswith("weights/"):
            uses[name] = "loaded into the model"
    return {name: use for name, use in uses.items() if name in arrays}


def _batch(arrays, model, prefix="", mask="mask", step=...):
    images = arrays[prefix + "images"][step].astype("float32") / 255.0
    images = (images - NORMALIZATION) / NORMALIZATION
    painted = model.corruption(images, region=arrays[prefix + mask][step][None])
    return {
        "images": images,
        **{name: to_numpy(values) for name, values in painted.items()},
    }


def _channels_first(values):
    return np.moveaxis(to_numpy(values), -1, 1)


def _forward(arrays, config):
    model = make_model(arrays, config)
    encoder, discriminator = model.encoder, model.discriminator
    batch = _batch(arrays, model)
    context = batch["corrupted_images"]
    with recorded({"first": encoder.encoder.blocks[0]}) as passed:
        values = model.predict_pixels(context)
    grid = encoder.grid_size(context.shape[1:])
    # Normalised as the arrays are: from -1 to 1.
    made = join_patches(values, encoder.patch_size, grid)
    made, real, mask = (
        to_numpy(model.take_window(x))
        for x in (made, batch["images"], batch["mask"])
    )
    losses = model.compute_losses(batch, training=False)
    losses = {name: to_numpy(value) for name, value in losses.items()}
    weight = model.loss_weights["pixel_loss"]
    adversarial = (
        model.loss_weights["adversarial_loss"] * losses["adversarial_loss"]
    )
    _, (gradient,) = value_and_gradients(
        lambda images: binary_cross_entropy(discriminator(images[0]), 1.0),
        [ops.convert_to_tensor(made)],
    )
    forward = {
        "context": _channels_first(context),
        "real": _channels_first(real),
        "l2_weight": np.where(
            mask[0, ..., 0], 1.0, np.float32(model.overlap_weight)
        ).astype("float32"),
        "forward/tokens": to_numpy(passed["first"][-1][0]),
        "forward/encoder_output": to_numpy(encoder.encoder(context)),
        "forward/fake": _channels_first(made),
        "forward/real_score": to_numpy(discriminator(real)),
        "forward/fake_score": to_numpy(discriminator(made)),
        "forward/adversarial_gradient_of_fake": _channels_first(gradient),
    }
    if config["mode"] != "random":
        forward["mask"] = to_numpy(
            model.corruption.draw_mask(context.shape[1:3])
        )
    return forward, {
        "loss/discriminator": losses["discriminator_loss"],
        "loss/adversarial": losses["adversarial_loss"],
        "loss/l2": losses["unweighted_pixel_loss"],
        "loss/l2_weighted": losses["pixel_loss"],
        "loss/generator": adversarial + weight * losses["pixel_loss"],
        "loss/generator_as_reported": (
            adversarial + weight * losses["unweighted_pixel_loss"]
        ),
    }


def _gradients(arrays, config):
    """Both at the initial weights: the discriminator's rate is 0."""
    model = make_model(arrays, config)
    batch = _batch(arrays, model)
    shapes = shapes_of(under(arrays, "weights/"))
    made = model.predict_pixels(batch["corrupted_images"])
    grid = model.encoder.grid_size(batch["images"].shape[1:])
    made = join_patches(made, model.encoder.patch_size, grid)
    made, real = (model.take_window(x) for x in (made, batch["images"]))
    _, pairs = model.discriminator.compute_gradients(real, made)
    of_discriminator = {id(variable): value for variable, value in pairs}
    gradients, _ = take_gradient_step(
        model, batch, lambda state: pairs_of(state, model), shapes
    )
    gradients |= in_their_layout(
        lambda state: discriminator_pairs(state, model.discriminator),
        {
            k: shape
            for k, shape in shapes.items()
            if k.startswith(DISCRIMINATOR)
        },
        lambda weight: to_numpy(of_discriminator[id(weight)]),
    )
    # The frequencies of the rotary positions are fixed.
    return {
        f"grad/{name}": values
        for name, values in gradients.items()
        if not name.endswith(FREQUENCIES)
    }


def _training(arrays, config):
    rate = config["lr"]
    model = make_model(arrays, config, rate)
    steps = len(arrays["train/images"])
    has_both = 0 < config["wtl2"] < 1
    model.compile(
        model.published_optimizer(
            steps,
            UNUSED_BATCH_SIZE,
            learning_rate=10 * rate if has_both else rate,
            beta_1=config["beta1"],
        )
    )
    logs = [
        model.train_on_batch(
            _batch(arrays, model, "train/", "masks", step), return_dict=True
        )
        for step in range(steps)
    ]
    final = in_their_layout(
        lambda state: pairs_of(state, model),
        shapes_of(under(arrays, "weights/")),
    )
    losses = np.array([[log[name] for name in LOGS] for log in logs])
    rates = np.array([log["learning_rate"] for log in logs])
    return (
        {"train/losses": losses},
        {
            "schedule/lr_generator": rates,
            "schedule/lr_discriminator": np.full(
                steps, model.discriminator.learning_rate
            ),
        },
        named("final/", final),
    )
