"""I-JEPA on the arrays of its authors."""

import numpy as np

import keras_capi
from benchmarks.replay.comparison import Replay
from benchmarks.replay.files import channels_last
from benchmarks.replay.files import named
from benchmarks.replay.files import under
from benchmarks.replay.gradients import take_gradient_step
from benchmarks.replay.ijepa_masks import masks_judges
from benchmarks.replay.ijepa_model import make_model
from benchmarks.replay.ijepa_model import pairs_of
from benchmarks.replay.ijepa_model import without_tables
from benchmarks.replay.noise import key_bias_noise
from benchmarks.replay.recording import recorded
from benchmarks.replay.schedules import warmup_cosine
from benchmarks.replay.weights import in_their_layout
from benchmarks.replay.weights import shapes_of
from benchmarks.replay.weights import to_numpy

# The targets have no gradient.
TRAINED = ("encoder.", "predictor.")
KINDS = ("visible", "predict")


def replay(arrays, description):
    """Returns the `Replay` of a file, see `comparison`."""
    result = Replay(inputs=_inputs(arrays))
    if "masks" in description:
        names = description["masks"]
        sampled = {name: arrays[name] for name in names if name in arrays}
        result.add("masks", masks_judges(sampled))
    else:
        result.notes["masks of the sampler"] = "no file of masks is there"
    forward, losses = _forward(arrays, description)
    result.add("forward", forward)
    result.add("forward", _tables(arrays, description))
    result.add("losses", losses)
    result.add("gradients", _gradients(arrays, description))
    losses, schedules, final = _training(arrays, description)
    result.add("losses", losses)
    result.add("schedules", schedules)
    result.add("final", final)
    result.leave_out(description.get("left_out", ()))
    final = result.results["final"]
    result.noise = key_bias_noise(final, 2 * arrays["schedule/lr"].sum())
    result.fixed = {name for name in final if name.endswith("pos_embed")}
    return result


def _inputs(arrays):
    uses = {
        "images": "images of the forward pass",
        "masks_enc": "contexts of the forward pass",
        "masks_pred": "blocks to predict of the forward pass",
        "train/images": "images of the training steps",
    }
    for name in arrays:
        if name.startswith("weights/"):
            uses[name] = "loaded into the model"
        if name.startswith("train/masks_enc/"):
            uses[name] = "contexts of a training step"
        if name.startswith("train/masks_pred/"):
            uses[name] = "blocks to predict of a training step"
    return uses


def _batch(arrays, prefix="", step=None):
    """Images and masks, with the images first."""
    images = arrays[f"{prefix}images"]
    end = "" if step is None else f"/{step}"
    return {
        "images": channels_last(images if step is None else images[step]),
        **{
            ours: arrays[f"{prefix}{theirs}{end}"].transpose(1, 0, 2)
            for ours, theirs in (
                ("visible_indices", "masks_enc"),
                ("predict_indices", "masks_pred"),
            )
        },
    }


def _padded_batches(arrays, num_steps):
    """The batches of the training, padded so that all have the same shapes."""
    batches = [_batch(arrays, "train/", step) for step in range(num_steps)]
    for kind in KINDS:
        name = f"{kind}_indices"
        largest = max(batch[name].shape[-1] for batch in batches)
        for batch in batches:
            indices = batch[name]
            padding = ((0, 0), (0, 0), (0, largest - indices.shape[-1]))
            batch[name] = np.pad(indices, padding)
            batch[f"{kind}_mask"] = np.pad(np.ones_like(indices, bool), padding)
    return batches


def _context_first(values, batch):
    """From image, context to the authors' order: context, image."""
    values = to_numpy(values)
    shape = (-1, batch["visible_indices"].shape[1], *values.shape[1:])
    return values.reshape(shape).swapaxes(0, 1).reshape(values.shape)


def _block_first(values, batch):
    """From image, context, block to block, context, image."""
    values = to_numpy(values)
    counts = [batch[f"{kind}_indices"].shape[1] for kind in KINDS]
    shape = (-1, *counts, *values.shape[1:])
    return values.reshape(shape).swapaxes(0, 2).reshape(values.shape)


def _forward(arrays, config):
    model, batch = make_model(arrays, config), _batch(arrays)
    student, teacher, predictor = model.student, model.teacher, model.predictor
    layers = {
        "encoder/output": student.final_norm,
        **{f"encoder/block_{i}": b for i, b in enumerate(student.blocks)},
        "target/encoder_output": teacher.final_norm,
        **{f"target/block_{i}": b for i, b in enumerate(teacher.blocks)},
        "predictor/embedded": predictor.embedding,
        **{f"predictor/block_{i}": b for i, b in enumerate(predictor.blocks)},
        "predictor/prediction": predictor.prediction,
    }
    with recorded(layers) as passed:
        losses = model.compute_losses(model.prepare(batch, False), False)
    results = {name: calls[-1][1] for name, calls in passed.items()}
    results["encoder/context_tokens"] = passed["encoder/block_0"][-1][0]
    results["predictor/tokens"] = passed["predictor/block_0"][-1][0]
    # Ours norms nothing but what is predicted.
    last = results[f"predictor/block_{len(predictor.blocks) - 1}"]
    results["predictor/normed"] = predictor.final_norm(last)
    for name, values in results.items():
        network = name.partition("/")[0]
        if network == "encoder" or name == "predictor/embedded":
            results[name] = _context_first(values, batch)
        elif network == "predictor":
            results[name] = _block_first(values, batch)
    results["encoder/patches"] = student.patch_embedding(batch["images"])
    features = to_numpy(
        keras_capi.ops.layer_normalize(results["target/encoder_output"])
    )
    results["target/normalised"] = features
    num_contexts = batch["visible_indices"].shape[1]
    results["target/targets"] = np.concatenate(
        [
            np.take_along_axis(features, indices[..., None], axis=1)
            for indices in arrays["masks_pred"].astype("int64")
            for _ in range(num_contexts)
        ]
    )
    results = {name: to_numpy(values) for name, values in results.items()}
    return results, {"loss": to_numpy(losses["feature_loss"])}


def _tables(arrays, config):
    """The fixed positions, which are computed and not loaded."""
    model = make_model(arrays, config)
    return {
        "weights/encoder.pos_embed": to_numpy(model.student.positions.table()),
        "weights/predictor.predictor_pos_embed": to_numpy(
            model.predictor.positions()
        ),
        "weights/target_encoder.pos_embed": to_numpy(
            model.teacher.positions.table()
        ),
    }


def _gradients(arrays, config):
    model = make_model(arrays, config)
    shapes = without_tables(shapes_of(under(arrays, "weights/")))
    gradients, _ = take_gradient_step(
        model, _batch(arrays), lambda state: pairs_of(state, model), shapes
    )
    return {
        f"grad/{name}": gradient
        for name, gradient in gradients.items()
        if name.startswith(TRAINED)
    }


def _compile(model, arrays, config):
    settings = config["optimization"]
    per_epoch = settings["ipe"]
    total_steps = int(settings["ipe_scale"] * settings["epochs"] * per_epoch)
    model.compile(
        model.published_optimizer(
            total_steps,
            len(arrays["images"]),
            learning_rate=warmup_cosine(
                settings["lr"],
                total_steps,
                int(settings["warmup"] * per_epoch),
                start_value=settings["start_lr"],
                final_value=settings["final_lr"],
                warmup_endpoint=False,
                first_step=1,
            ),
            weight_decay=warmup_cosine(
                settings["weight_decay"],
                total_steps,
                final_value=settings["final_weight_decay"],
                first_step=1,
            ),
        )
    )


def _training(arrays, config):
    model = make_model(arrays, config)
    _compile(model, arrays, config)
    num_steps = len(arrays["train/images"])
    decays = [
        to_numpy(model.optimizer.weight_decay(i)) for i in range(num_steps)
    ]
    logs = [
        model.train_on_batch(batch, return_dict=True)
        for batch in _padded_batches(arrays, num_steps)
    ]
    schedules = {
        "schedule/lr": [log["learning_rate"] for log in logs],
        "schedule/momentum": [log["ema_momentum"] for log in logs],
        "schedule/weight_decay": decays,
    }
    final = in_their_layout(
        lambda state: pairs_of(state, model),
        shapes_of(under(arrays, "weights/")),
    )
    return (
        {"train/losses": np.array([log["loss"] for log in logs])},
        {name: np.array(values) for name, values in schedules.items()},
        named("final/", final),
    )
