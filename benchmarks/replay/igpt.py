"""Image GPT on the arrays of its authors."""

import numpy as np

import keras_capi
from benchmarks.replay.comparison import Replay
from benchmarks.replay.files import named
from benchmarks.replay.files import under
from benchmarks.replay.gradients import take_gradient_step
from benchmarks.replay.igpt_model import make_model
from benchmarks.replay.igpt_model import pairs_of
from benchmarks.replay.recording import recorded
from benchmarks.replay.weights import in_their_layout
from benchmarks.replay.weights import shapes_of
from benchmarks.replay.weights import to_numpy

# Of an optimizer whose rate does not follow it.
UNUSED_BATCH_SIZE = 1
# What there is with an order only.
START_TOKEN = "model/sos"


def replay(arrays, description):
    """Returns the `Replay` of a file, see `comparison`."""
    config = description["configuration"]
    result = Replay(inputs=_inputs(arrays, config))
    if "palette/centers" in arrays:
        result.add("forward", _palette(arrays))
    for variant, causal in (("ar/", True), ("bert/", False)):
        if not under(arrays, variant):
            continue
        for part in (_forward, _gradients, _training):
            for group, values in part(arrays, config, causal).items():
                # Both have the same rate.
                shared = group == "schedules"
                result.add(group, values if shared else named(variant, values))
    result.notes["masks"] = "there is no sample of masks to compare with"
    if "shapes" in description:
        result.keep(description["shapes"])
    return result


def _inputs(arrays, config):
    uses = {
        "tokens": "words of the forward pass",
        "bert_uniform": "of which the mask of the forward pass is made",
        "train/tokens": "words of the training steps",
        "train/bert_uniform": "of which the masks of the steps are made",
        "palette/centers": "loaded as a palette",
        "palette/pixels": "pixels to be named",
    }
    for name in arrays:
        if name.startswith("weights/"):
            uses[name] = "loaded into the model"
        if name in ("labels", "train/labels"):
            uses[name] = "classes" if config["clf"] else "nothing depends on it"
    return {name: use for name, use in uses.items() if name in arrays}


def _palette(arrays):
    centers, pixels = arrays["palette/centers"], arrays["palette/pixels"]
    num_channels = centers.shape[1]
    palette = keras_capi.layers.ColorPalette(
        *centers.shape,
        mean=num_channels * (0.0,),
        standard_deviation=num_channels * (1.0,),
    )
    palette.assign_colors(centers)
    index = palette(pixels.astype("float32") / 255.0)
    decoded = np.round(255.0 * to_numpy(palette.restore(index)))
    return {
        "palette/index": to_numpy(index),
        "palette/decoded": decoded.astype("uint8"),
    }


def _batch(model, arrays, config, prefix="", step=...):
    """Returns images that are these words, and a mask without an order."""
    tokens = arrays[f"{prefix}tokens"][step]
    images = to_numpy(model.encoder.palette.restore(tokens))
    batch = {"images": images[:, None]}
    if not model.encoder.causal:
        uniform = arrays[f"{prefix}bert_uniform"][step]
        # Others are kept.
        batch["mask"] = uniform <= config["bert_mask_prob"]
    if config["clf"]:
        batch["labels"] = arrays[f"{prefix}labels"][step]
    return batch


def _make_model(arrays, config, causal):
    num_classes = arrays["labels"].shape[-1] if config["clf"] else None
    weights = under(arrays, "weights/")
    return make_model(weights, config, causal, num_classes)


def _shapes(arrays, causal):
    shapes = shapes_of(under(arrays, "weights/"))
    return {k: v for k, v in shapes.items() if causal or k != START_TOKEN}


def _forward(arrays, config, causal):
    model = _make_model(arrays, config, causal)
    encoder, batch = model.encoder, _batch(model, arrays, config)
    layers = {"first": encoder.blocks[0], "head": model.head}
    with recorded(layers) as passed:
        losses = model.compute_losses(batch, training=False)
    first = passed["first"][-1][0]
    loss = to_numpy(losses["color_loss"])
    total = sum(to_numpy(values) for values in losses.values())
    hidden = {}
    if not causal:
        hidden["mask"] = batch["mask"]
        hidden["mask_token"] = np.zeros((config["n_embd"],), "float32")
    numbers = tuple(range(1, config["n_layer"] + 1))
    plain, normalized = (
        encoder.encode_images(
            batch["images"], **hidden, layers=numbers, normalize=normalize
        )
        for normalize in (False, True)
    )
    features = {0: encoder.blocks[0].attention_norm(first)}
    features |= {i: normalized[f"layer_{i}"] for i in numbers[:-1]}
    return {
        "forward": {
            "forward/layer_0": to_numpy(first),
            **{
                f"forward/layer_{i}": to_numpy(plain[f"layer_{i}"])
                for i in numbers
            },
            "forward/logits": to_numpy(passed["head"][-1][1]),
            **{
                f"features/layer_{i}": to_numpy(values).mean(axis=1)
                for i, values in features.items()
            },
        },
        "losses": {"loss": loss, "loss_total": total},
    }


def _gradients(arrays, config, causal):
    model = _make_model(arrays, config, causal)
    gradients, _ = take_gradient_step(
        model,
        _batch(model, arrays, config),
        lambda state: pairs_of(state, model),
        _shapes(arrays, causal),
    )
    return {"gradients": named("grad/", gradients)}


def _training(arrays, config, causal):
    model = _make_model(arrays, config, causal)
    settings = config["optimizer"]
    steps = len(arrays["train/tokens"])
    warmup = settings["warmup"]
    model.compile(
        model.published_optimizer(
            # A file may end before its warm-up does.
            max(steps, warmup + 1),
            UNUSED_BATCH_SIZE,
            learning_rate=settings["lr"],
            weight_decay=settings["weight_decay"],
            beta_1=settings["beta1"],
            beta_2=settings["beta2"],
            warmup_steps=warmup,
            epsilon=settings["eps"],
        )
    )
    logs = [
        model.train_on_batch(
            _batch(model, arrays, config, "train/", step), return_dict=True
        )
        for step in range(steps)
    ]
    final = in_their_layout(
        lambda state: pairs_of(state, model), _shapes(arrays, causal)
    )
    return {
        "losses": {"train/losses": np.array([log["loss"] for log in logs])},
        "schedules": {
            "schedule/lr": np.array([log["learning_rate"] for log in logs])
        },
        "final": named("final/", final),
    }
