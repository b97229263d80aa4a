"""data2vec 2.0 on the arrays of its authors."""

import keras
import numpy as np

import keras_capi
from benchmarks.replay.comparison import DIFFERENT
from benchmarks.replay.comparison import Replay
from benchmarks.replay.data2vec2_model import PARTS
from benchmarks.replay.data2vec2_model import make_model
from benchmarks.replay.data2vec2_model import pairs_of
from benchmarks.replay.data2vec2_model import take_noise
from benchmarks.replay.files import channels_last
from benchmarks.replay.files import named
from benchmarks.replay.files import under
from benchmarks.replay.gradients import take_gradient_step
from benchmarks.replay.groups import names_by_decay
from benchmarks.replay.masks import masks_judge
from benchmarks.replay.noise import key_bias_noise
from benchmarks.replay.recording import recorded
from benchmarks.replay.schedules import warmup_cosine
from benchmarks.replay.weights import in_their_layout
from benchmarks.replay.weights import shapes_of
from benchmarks.replay.weights import to_numpy

# Of our sampler, against which the file's masks are compared.
NUM_MASKS = 20_000
POSITIONS = "fixed_positional_encoder.positions"
INPUTS = {
    "images": "images",
    "mask": "masks",
    "noise": "noise of hidden patches",
}


def replay(arrays, description):
    """Returns the `Replay` of a file, see `comparison`.

    There may be masks among the arrays, and nothing else.
    """
    result = Replay()
    if "masks" in description:
        result.add("masks", _sampled_masks(description["masks"]))
    else:
        result.notes["masks of the sampler"] = "no file of masks is there"
    if "model" not in description:
        return result
    config = description
    result.inputs = _inputs(arrays)
    result.add("forward", _tables(arrays, config))
    forward, losses = _forward(arrays, config)
    result.add("forward", forward)
    result.add("losses", losses)
    result.add("gradients", _gradients(arrays, config))
    for group, results in _training(arrays, config).items():
        result.add(group, results)
    result.add_figures("schedules", _groups(arrays, config))
    result.leave_out(config.get("left_out", ()))
    final = result.results["final"]
    result.noise = key_bias_noise(final, 2 * arrays["schedule/lr"].sum())
    return result


def _inputs(arrays):
    uses = {}
    for prefix, of in (("", "forward pass"), ("train/", "training steps")):
        for name, what in INPUTS.items():
            uses[prefix + name] = f"{what} of the {of}"
    for name in arrays:
        if name.startswith("weights/") and not name.endswith(POSITIONS):
            uses[name] = "loaded into the model"
    return uses


def _batch(model, arrays, prefix="", step=...):
    """Images and masks; the noise goes into the model."""
    images, mask, noise = (arrays[prefix + name][step] for name in INPUTS)
    take_noise(model, noise, mask)
    order = mask.argsort(axis=1, kind="stable").astype("int32")
    order = order.reshape(len(images), -1, mask.shape[1])
    num_visible = (~mask[0]).sum()
    return {
        "images": channels_last(images),
        "visible_indices": order[..., :num_visible],
        "predict_indices": order[..., num_visible:],
    }


def _sampled_masks(samples):
    judges = {}
    for name, sample in samples.items():
        grid = (sample["rows"], sample["columns"])
        masking = keras_capi.layers.InverseSquareMasking(
            grid,
            visible_ratio=1 - sample["mask_prob"],
            square_ratio=1 - sample["mask_prob"] + sample["mask_prob_adjust"],
            square_size=sample["mask_length"],
            seed=0,
        )
        draw = masking(np.zeros((NUM_MASKS,), "float32"))
        masks = np.ones((NUM_MASKS, grid[0] * grid[1]), bool)
        visible = to_numpy(draw["visible_indices"]).astype("int64")
        np.put_along_axis(masks, visible, False, axis=1)
        judges[name] = masks_judge(masks, [sample["masked"]])
    return judges


def _tables(arrays, config):
    """The fixed positions, which are computed and not loaded."""
    model = make_model(arrays, config)
    networks = (model.encoder, model.teacher)
    return {
        f"weights/{part}.modality_encoders.IMAGE.{POSITIONS}":
        # Ours has zeros for the class token.
        to_numpy(encoder.positions.table())[:, 1:]
        for part, encoder in zip(PARTS, networks, strict=True)
    }


def _forward(arrays, config):
    model = make_model(arrays, config)
    batch = _batch(model, arrays)
    encoder, teacher, decoder = model.encoder, model.teacher, model.decoder
    layers = {
        "student/patches": encoder.patch_embedding,
        "student/normed": encoder.first_norm,
        **{f"student/block_{i}": b for i, b in enumerate(encoder.blocks)},
        **{f"teacher/mlp_{i}": b.mlp_output for i, b in _of(teacher)},
        **{f"decoder/layer_{i}": c for i, c in enumerate(decoder.convolutions)},
        "decoder/prediction": decoder.prediction,
    }
    with recorded(layers) as passed:
        losses = model.compute_losses(batch, training=True)
    results = {name: to_numpy(calls[-1][1]) for name, calls in passed.items()}
    layers = {f"teacher/block_{i}": block for i, block in _of(teacher)}
    with recorded(layers) as passed:
        teacher.encode_images(batch["images"])
    for name, calls in passed.items():
        results[name] = to_numpy(calls[-1][1])
    for name, values in results.items():
        if name.startswith("decoder/layer_"):
            results[name] = _activated(values)
    losses = {name: float(to_numpy(value)) for name, value in losses.items()}
    weighted = {
        name: weight * losses[name]
        for name, weight in model.loss_weights.items()
    }
    targets = to_numpy(model.compute_targets(batch["images"]))
    return {**named("forward/", results), "target/targets": targets}, {
        "loss/regression": np.array(weighted["feature_loss"]),
        "loss/cls": np.array(weighted["class_loss"]),
        "loss/total": np.array(sum(weighted.values())),
    }


def _of(encoder):
    return enumerate(encoder.blocks)


def _activated(values):
    """What the authors' layer makes of a convolution, channels first."""
    normalized = keras_capi.ops.layer_normalize(values)
    activated = keras.ops.gelu(normalized, approximate=False)
    return np.moveaxis(to_numpy(activated), -1, 1)


def _shapes(arrays, group):
    """Those of the trained weights of student and decoder, or of all."""
    return {
        name: shape
        for name, shape in shapes_of(under(arrays, "weights/")).items()
        if not name.endswith(POSITIONS) and name.startswith(group)
    }


def _gradients(arrays, config):
    model = make_model(arrays, config)
    gradients, _ = take_gradient_step(
        model,
        _batch(model, arrays),
        pairs_of(model, ["student"]),
        _shapes(arrays, "student."),
    )
    return {
        f"grad/{name.removeprefix('student.')}": values
        for name, values in gradients.items()
    }


def _compile(model, arrays, config):
    settings = config["train"]
    model.compile(
        model.published_optimizer(
            settings["max_update"],
            len(arrays["images"]),
            learning_rate=warmup_cosine(
                settings["lr"],
                settings["max_update"],
                settings["warmup_updates"],
                warmup_endpoint=False,
            ),
            weight_decay=settings["weight_decay"],
            clip_norm=settings["clip_norm"],
        )
    )


def _training(arrays, config):
    model = make_model(arrays, config)
    _compile(model, arrays, config)
    losses, rates, momenta = [], [], []
    for step in range(config["train"]["steps"]):
        batch = _batch(model, arrays, "train/", step)
        logs = model.train_on_batch(batch, return_dict=True)
        losses.append(logs["loss"])
        rates.append(float(to_numpy(logs["learning_rate"])))
        momenta.append(float(to_numpy(logs["ema_momentum"])))
    final = in_their_layout(pairs_of(model, PARTS), _shapes(arrays, ""))
    return {
        "losses": {"train/losses": np.array(losses)},
        "schedules": {
            "schedule/lr": np.array(rates),
            "schedule/ema_decay": np.array(momenta),
        },
        "final": named("final/", final),
    }


def _groups(arrays, config):
    """Whether the same parameters decay: all of them."""
    model = make_model(arrays, config)
    _compile(model, arrays, config)
    ours = names_by_decay(
        model, pairs_of(model, ["student"]), _shapes(arrays, "student.")
    )
    theirs = config["parameter_groups"]
    return {
        f"parameter_groups/{name}": 0.0
        if {k.removeprefix("student.") for k in names} == set(theirs[name])
        else DIFFERENT
        for name, names in zip(("decay", "no_decay"), ours, strict=True)
    }
