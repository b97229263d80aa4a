"""SimMIM on the arrays of its authors."""

import math

import keras
import numpy as np

import keras_capi
from benchmarks.replay.beit_encoder import all_tokens
from benchmarks.replay.beit_encoder import mean_pooled
from benchmarks.replay.beit_encoder import position_index
from benchmarks.replay.beit_encoder import without_indices
from benchmarks.replay.comparison import Replay
from benchmarks.replay.files import channels_last
from benchmarks.replay.files import named
from benchmarks.replay.files import under
from benchmarks.replay.gradients import gradient_norm
from benchmarks.replay.gradients import take_gradient_step
from benchmarks.replay.masks import masks_judge
from benchmarks.replay.recording import recorded
from benchmarks.replay.schedules import LinearDecay
from benchmarks.replay.schedules import warmup_cosine
from benchmarks.replay.simmim_model import make_masking
from benchmarks.replay.simmim_model import make_model
from benchmarks.replay.simmim_model import pairs_of
from benchmarks.replay.weights import in_their_layout
from benchmarks.replay.weights import shapes_of
from benchmarks.replay.weights import to_numpy
from keras_capi.convert.vit_keys import INDEX

# Of our sampler, against which the file's are compared.
NUM_MASKS = 20_000
OTHER_SIZE = "eval_finetune_other_size/"


def replay(arrays, description):
    """Returns the `Replay` of a file, see `comparison`.

    There may be masks among the arrays, and nothing else.
    """
    result = Replay()
    if "masks" in description:
        result.add("masks", _sampled_masks(description["masks"]))
    else:
        result.notes["masks of the sampler"] = "no file of masks is there"
    if "configuration" not in description:
        return result
    config = description["configuration"]
    result.inputs = _inputs(arrays)
    model = make_model(arrays, config)
    result.add("forward", _indices(arrays, model))
    forward, losses = _forward(arrays, model)
    result.add("forward", forward)
    result.add("forward", _features(arrays, model.encoder))
    result.add("losses", losses)
    result.add("gradients", named("grad/", _gradients(arrays, config)))
    losses, norms, schedules, final = _training(arrays, config)
    result.add("losses", losses)
    result.add("gradients", norms)
    result.add("schedules", schedules)
    result.add("final", final)
    # Of the tests' arrays, which others imply.
    if "left_out" in description:
        result.keep(description["shapes"])
    return result


def _inputs(arrays):
    uses = {
        "images": "images of the forward pass",
        "mask": "mask of the forward pass",
        "train/images": "images of the training steps",
        "train/mask": "masks of the training steps",
    }
    if OTHER_SIZE + "images" in arrays:
        uses[OTHER_SIZE + "images"] = "images of the forward pass"
    for name in arrays:
        if name.startswith("weights/") and not name.endswith(INDEX):
            uses[name] = "loaded into the model"
        if name.startswith("eval_finetune/fc_norm."):
            uses[name] = "loaded into a norm"
    return uses


def _batch(arrays, prefix="", step=...):
    mask = arrays[prefix + "mask"][step]
    return {
        "images": channels_last(arrays[prefix + "images"][step]),
        "mask": mask.reshape(len(mask), -1),
    }


def _sampled_masks(samples):
    judges = {}
    for name, sample in samples.items():
        grid = (sample["rows"], sample["columns"])
        cell_size = sample["mask_patch_size"] // sample["model_patch_size"]
        masking = make_masking(sample["mask_ratio"], cell_size)
        draw = masking(np.zeros((NUM_MASKS,), "float32"), grid_size=grid)
        rows, columns, num_hidden = masking.count_cells(grid)
        judges[name] = masks_judge(
            to_numpy(draw["mask"]),
            sample["masked"],
            math.comb(rows * columns, num_hidden),
        )
    return judges


def _indices(arrays, model):
    """Those of the biases, which are computed and not loaded."""
    index = position_index(model.encoder)
    return {name: index for name in arrays if name.endswith(INDEX)}


def _forward(arrays, model):
    encoder, batch = model.encoder, _batch(arrays)
    blocks, first = encoder.blocks, encoder.blocks[0]
    layers = {
        "patch_embed": encoder.patch_embedding,
        "block_0_norm1": first.attention_norm,
        "block_0_attn": first.attention,
        "block_0_mlp": first.mlp_output,
        **{f"block_{i}": block for i, block in enumerate(blocks)},
        "encoder_norm": encoder.final_norm,
        "head": model.head,
        **{f"bias_{i}": b for i, b in enumerate(encoder.positions.biases)},
    }
    with recorded(layers) as passed:
        losses = model.compute_losses(batch, training=False)
    results = {
        name: to_numpy(calls[-1][1])
        for name, calls in passed.items()
        if not name.startswith("bias_")
    }
    results["encoder_input"] = to_numpy(passed["block_0"][-1][0])
    patches = results["encoder_norm"][:, encoder.num_prefix_tokens :]
    results["encoder_output"] = _as_map(patches, encoder)
    values = results.pop("head")
    pixels = _pixels(values, encoder)
    results["reconstruction"] = pixels
    results["decoder_linear"] = _as_map(
        _channels_first(values, encoder), encoder
    )
    if encoder.positions.relative == "shared":
        bias = to_numpy(passed["bias_0"][-1][1])
        results["relative_position_bias"] = bias[0]
    return named("forward/", results), {"loss": to_numpy(losses["pixel_loss"])}


def _as_map(patches, encoder):
    """Arranges `(batch, patches, width)` as `(batch, width, rows, columns)`."""
    rows, columns = encoder.grid_size(encoder.image_shape)
    maps = patches.reshape(len(patches), rows, columns, -1)
    return maps.transpose(0, 3, 1, 2)


def _channels_first(values, encoder):
    """Orders the values of patches by channel, row, column."""
    side = encoder.patch_size
    values = values.reshape(*values.shape[:2], side, side, -1)
    return values.transpose(0, 1, 4, 2, 3).reshape(*values.shape[:2], -1)


def _pixels(values, encoder):
    """Puts patches together: `(batch, channels, height, width)`."""
    rows, columns = encoder.grid_size(encoder.image_shape)
    side = encoder.patch_size
    values = values.reshape(len(values), rows, columns, side, side, -1)
    values = values.transpose(0, 5, 1, 3, 2, 4)
    return values.reshape(*values.shape[:2], rows * side, columns * side)


def _features(arrays, encoder):
    images = channels_last(arrays["images"])
    results = {
        "eval/class_token": to_numpy(encoder(images)["global"]),
        "eval/tokens": all_tokens(encoder.encode(*encoder.embed(images))),
    }
    norm = under(arrays, "eval_finetune/fc_norm.")
    if norm:
        pooled = mean_pooled(encoder, images, norm)
        results["eval_finetune/mean_pooled"] = pooled
    if OTHER_SIZE + "images" in arrays:
        images = channels_last(arrays[OTHER_SIZE + "images"])
        larger = keras_capi.encoders.resize_vit(
            encoder, images.shape[1:], relative_positions="per_block"
        )
        # Each block has the same.
        table = to_numpy(larger.positions.biases[-1].table)
        results[OTHER_SIZE + "relative_position_bias_table"] = table
        pooled = mean_pooled(larger, images, norm)
        results[OTHER_SIZE + "mean_pooled"] = pooled
    return results


def _trained_shapes(arrays):
    return shapes_of(without_indices(under(arrays, "weights/")))


def _gradients(arrays, config):
    model = make_model(arrays, config)
    gradients, _ = take_gradient_step(
        model,
        _batch(arrays),
        lambda state: pairs_of(state, model),
        _trained_shapes(arrays),
    )
    return gradients


def _make_rate(settings, total_steps):
    """Returns the schedule that a configuration describes."""
    per_epoch, base = settings["steps_per_epoch"], settings["base_lr"]
    warmup_steps = int(settings["warmup_epochs"] * per_epoch)
    scheduler = settings["lr_scheduler"]
    name = scheduler["name"]
    if name == "cosine":
        schedule = warmup_cosine(
            base, total_steps, final_value=settings["min_lr"]
        )
    elif name == "linear":
        schedule = LinearDecay(base, total_steps, warmup_steps)
    elif name in ("multistep", "step"):
        if name == "step":
            every, factor = scheduler["decay_epochs"], scheduler["decay_rate"]
            milestones = range(every, settings["epochs"] + 1, every)
        else:
            milestones, factor = scheduler["multisteps"], scheduler["gamma"]
        # Keras's schedule needs one, which need not come.
        milestones = list(milestones) or [settings["epochs"] + 1]
        factors = factor ** np.arange(len(milestones) + 1)
        schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
            [epoch * per_epoch - 1 for epoch in milestones],
            [float(base * factor) for factor in factors],
        )
    else:
        raise ValueError(f"the schedule {name} is not known")
    return keras_capi.optimizers.LateWarmup(
        schedule, warmup_steps, settings["warmup_lr"]
    )


def _training(arrays, config):
    model = make_model(arrays, config)
    settings = config["train"]
    total_steps = settings["epochs"] * settings["steps_per_epoch"]
    optimizer = settings["optimizer"]
    model.compile(
        model.published_optimizer(
            total_steps,
            len(arrays["images"]),
            learning_rate=_make_rate(settings, total_steps),
            weight_decay=settings["weight_decay"],
            clip_norm=settings["clip_grad"] or None,
            beta_1=optimizer["betas"][0],
            beta_2=optimizer["betas"][1],
            epsilon=optimizer["eps"],
        )
    )
    twin = make_model(arrays, config)
    twin.compile(keras.optimizers.SGD(1.0))
    logs, norms = [], []
    for step in range(total_steps):
        batch = _batch(arrays, "train/", step)
        twin.set_weights(model.get_weights())
        norms.append(gradient_norm(twin, batch))
        logs.append(model.train_on_batch(batch, return_dict=True))
    final = in_their_layout(
        lambda state: pairs_of(state, model), _trained_shapes(arrays)
    )
    return (
        {"train/losses": np.array([log["loss"] for log in logs])},
        {"train/gradient_norms": np.array(norms)},
        {"schedule/lr": np.array([log["learning_rate"] for log in logs])},
        named("final/", final),
    )
