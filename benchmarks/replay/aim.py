"""AIM on the arrays of its authors' backbone, and of its paper."""

import keras
import numpy as np

from benchmarks.replay.aim_model import MEAN
from benchmarks.replay.aim_model import STD
from benchmarks.replay.aim_model import make_model
from benchmarks.replay.aim_model import make_trunk_model
from benchmarks.replay.aim_model import pairs_of
from benchmarks.replay.aim_model import pairs_of_trunk
from benchmarks.replay.attentive_probe import attentive_probe
from benchmarks.replay.comparison import Replay
from benchmarks.replay.files import named
from benchmarks.replay.files import under
from benchmarks.replay.gradients import gradient_norm
from benchmarks.replay.gradients import take_gradient_step
from benchmarks.replay.recording import recorded
from benchmarks.replay.rotary_trunk import FREQUENCIES
from benchmarks.replay.schedules import warmup_cosine
from benchmarks.replay.weights import in_their_layout
from benchmarks.replay.weights import shapes_of
from benchmarks.replay.weights import to_numpy
from keras_capi.ops import pixel_targets
from keras_capi.ops import prefix_mask

# Of an optimizer whose rate does not follow it.
UNUSED_BATCH_SIZE = 1


def replay(arrays, description):
    """Returns the `Replay` of a file, see `comparison`."""
    config = description["configuration"]
    result = Replay(inputs=_inputs(arrays))
    for part in (
        _forward(arrays, config),
        _gradients(arrays, config),
        _evaluation(arrays, config),
        _training(arrays, config),
        _trunk(arrays, config),
    ):
        for group, values in part.items():
            result.add(group, values)
    result.notes["masks"] = "there is no sample of prefixes to compare with"
    if "shapes" in description:
        result.keep(description["shapes"])
    return result


def _inputs(arrays):
    uses = {
        "images": "images of the forward pass",
        "prefix_length": "prefixes of the forward pass",
        "train/images": "images of the training steps",
        "train/prefix_length": "prefixes of the training steps",
    }
    for name in arrays:
        if name.startswith(("weights/", "trunk/weights/", "eval/probe/")):
            uses[name] = "loaded into the model"
    # What batch normalisation has seen.
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        uses.pop(f"eval/probe/bn.{name}", None)
    return uses


def _batch(arrays, prefix="", step=...):
    pixels = arrays[f"{prefix}images"][step].astype("float32") / 255.0
    mean, std = np.array(MEAN, "float32"), np.array(STD, "float32")
    return {
        "images": (pixels - mean) / std,
        "prefix_length": arrays[f"{prefix}prefix_length"][step],
    }


def _forward(arrays, config):
    model = make_model(arrays, config)
    encoder, batch = model.encoder, _batch(arrays)
    tokens, positions = encoder.embed(batch["images"])
    numbers = tuple(range(1, config["depth"] + 1))
    mask = prefix_mask(batch["prefix_length"], tokens.shape[1])
    outputs = encoder.encode(
        tokens, positions, numbers, normalize=False, attention_mask=mask
    )
    losses = model.compute_losses(batch, training=False)
    layers = {"head": model.head}
    with recorded(layers) as passed:
        prediction = model.predict_pixels(**batch)
    blocks = [to_numpy(outputs[f"layer_{number}"]) for number in numbers]
    targets = pixel_targets(batch["images"], encoder.patch_size)
    return {
        "forward": {
            "input": batch["images"].transpose(0, 3, 1, 2),
            "forward/tokens": to_numpy(
                encoder.add_positions(tokens, positions)
            ),
            "forward/positions": to_numpy(positions)[0],
            "forward/block_outputs": np.stack(blocks),
            "forward/trunk_output": to_numpy(passed["head"][-1][0]),
            "forward/prediction": to_numpy(prediction),
            "forward/targets": to_numpy(targets),
        },
        "losses": {"loss": to_numpy(losses["pixel_loss"])},
    }


def _gradients(arrays, config):
    model = make_model(arrays, config)
    gradients, _ = take_gradient_step(
        model,
        _batch(arrays),
        lambda state: pairs_of(state, model),
        shapes_of(under(arrays, "weights/")),
    )
    return {"gradients": named("grad/", gradients)}


def _evaluation(arrays, config):
    encoder = make_model(arrays, config).encoder
    tokens, positions = encoder.embed(_batch(arrays)["images"])
    # In both directions, and from 1 on.
    numbers = tuple(number + 1 for number in config["probe_layers"])
    outputs = encoder.encode(tokens, positions, numbers, normalize=False)
    features = np.mean(
        [to_numpy(outputs[f"layer_{number}"]) for number in numbers], axis=0
    )
    probe = attentive_probe(
        under(arrays, "eval/probe/"), features, config["heads"]
    )
    return {"forward": {"eval/average_of_layers": features, **probe}}


def _training(arrays, config):
    model, twin = make_model(arrays, config), make_model(arrays, config)
    settings = config["optimizer"]
    steps = len(arrays["train/images"])
    model.compile(
        model.published_optimizer(
            steps,
            UNUSED_BATCH_SIZE,
            learning_rate=warmup_cosine(
                settings["lr"],
                steps,
                settings["warmup"],
                start_value=settings["lr"] / max(settings["warmup"], 1),
            ),
            weight_decay=settings["weight_decay"],
            clip_norm=settings["clip"] or None,
        )
    )
    twin.compile(keras.optimizers.SGD(1.0))
    logs, norms = [], []
    for step in range(steps):
        batch = _batch(arrays, "train/", step)
        twin.set_weights(model.get_weights())
        norms.append(gradient_norm(twin, batch))
        logs.append(model.train_on_batch(batch, return_dict=True))
    final = in_their_layout(
        lambda state: pairs_of(state, model),
        shapes_of(under(arrays, "weights/")),
    )
    return {
        "losses": {"train/losses": np.array([log["loss"] for log in logs])},
        "gradients": {"train/gradient_norms": np.array(norms)},
        "schedules": {
            "schedule/lr": np.array([log["learning_rate"] for log in logs])
        },
        "final": named("final/", final),
    }


def _trunk(arrays, config):
    shapes = shapes_of(under(arrays, "trunk/weights/"))
    if not shapes:
        return {}
    model, batch = make_trunk_model(arrays, config), _batch(arrays)
    count = config["registers"]
    tokens, positions = model.encoder.embed(batch["images"])
    mask = prefix_mask(batch["prefix_length"], tokens.shape[1], count)
    outputs = model.encoder.encode(tokens, positions, attention_mask=mask)
    output = [to_numpy(outputs[name]) for name in ("prefix", "patches")]
    forward = {
        "attention_mask": to_numpy(mask),
        "encoder_output": np.concatenate(output, axis=1),
        "prediction": to_numpy(model.predict_pixels(**batch)),
    }
    loss = to_numpy(model.compute_losses(batch, False)["pixel_loss"])
    gradients, _ = take_gradient_step(
        model, batch, lambda state: pairs_of_trunk(state, model), shapes
    )
    return {
        "forward": named("trunk/forward/", forward),
        "losses": {"trunk/loss": loss},
        "gradients": {
            f"trunk/grad/{name}": values
            for name, values in gradients.items()
            if not name.endswith(FREQUENCIES)
        },
    }
