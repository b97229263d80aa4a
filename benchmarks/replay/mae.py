"""MAE on the arrays of its authors."""

import math

import numpy as np

import keras_capi
from benchmarks.replay.beit_encoder import mean_pooled
from benchmarks.replay.comparison import Replay
from benchmarks.replay.files import channels_last
from benchmarks.replay.files import named
from benchmarks.replay.files import under
from benchmarks.replay.gradients import take_gradient_step
from benchmarks.replay.mae_model import make_masking
from benchmarks.replay.mae_model import make_model
from benchmarks.replay.mae_model import pairs_of
from benchmarks.replay.mae_model import without_tables
from benchmarks.replay.masks import masks_judge
from benchmarks.replay.noise import key_bias_noise
from benchmarks.replay.recording import recorded
from benchmarks.replay.schedules import warmup_cosine
from benchmarks.replay.weights import in_their_layout
from benchmarks.replay.weights import shapes_of
from benchmarks.replay.weights import to_numpy

# Of our sampler, against which the file's are compared.
NUM_MASKS = 20_000


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
    result.add("masks", _masks(arrays, config))
    result.add("forward", _forward(arrays, config))
    result.add("forward", _tables(arrays, config))
    result.add("forward", _features(arrays, config))
    for name, normalize in (("pixels", False), ("normalized", True)):
        targets, losses = _losses(arrays, config, name, normalize)
        result.add("forward", targets)
        result.add("losses", losses)
    for prefix, normalize in (
        ("grad/", config["norm_pix_loss"]),
        ("grad_other_target/", not config["norm_pix_loss"]),
    ):
        if prefix == "grad/" or config.get("both_gradients"):
            gradients = _gradients(arrays, config, normalize)
            result.add("gradients", named(prefix, gradients))
    losses, schedules, final = _training(arrays, config)
    result.add("losses", losses)
    result.add("schedules", schedules)
    result.add("final", final)
    result.noise = key_bias_noise(final, 2 * arrays["schedule/lr"].sum())
    return result


def _inputs(arrays):
    uses = {
        "images": "images of the forward pass",
        "noise": "masks of the forward pass follow from its order",
        "train/images": "images of the training steps",
        "train/noise": "masks of the training steps follow from its order",
    }
    if "images_other_size" in arrays:
        uses["images_other_size"] = "images of the forward pass"
    for name in arrays:
        if name.startswith("weights/"):
            uses[name] = "loaded into the model"
        if name.startswith("eval/fc_norm."):
            uses[name] = "loaded into a norm"
    return uses


def _num_visible(config):
    model = config["model"]
    side = model["img_size"] // model["patch_size"]
    masking = make_masking(config["mask_ratio"])
    return masking.count_patches((side, side))[0]


def _batch(arrays, config, prefix="", step=...):
    """Images and masks: the first patches in the order of the noise stay."""
    order = arrays[prefix + "noise"][step].argsort(axis=1).astype("int32")
    count = _num_visible(config)
    return {
        "images": channels_last(arrays[prefix + "images"][step]),
        "visible_indices": order[:, :count],
        "predict_indices": order[:, count:],
    }


def _restored(values, batch):
    """Brings patches from the order of the noise to that of the image."""
    order = np.concatenate(
        [batch["visible_indices"], batch["predict_indices"]], axis=1
    )
    places = order.argsort(axis=1)[..., None]
    return np.take_along_axis(to_numpy(values), places, axis=1)


def _masks(arrays, config):
    """What our sampler, which shows the largest numbers, makes of the noise."""
    model = config["model"]
    side = model["img_size"] // model["patch_size"]
    visible, _ = make_masking(config["mask_ratio"]).select_indices(
        None, -arrays["noise"], (side, side)
    )
    mask = np.ones(arrays["noise"].shape, bool)
    np.put_along_axis(mask, to_numpy(visible).astype("int64"), False, axis=1)
    order = arrays["noise"].argsort(axis=1)
    return {
        "mask": mask,
        "ids_keep": order[:, : _num_visible(config)],
        "ids_restore": order.argsort(axis=1),
    }


def _sampled_masks(samples):
    judges = {}
    for name, sample in samples.items():
        grid = (sample["rows"], sample["columns"])
        masking = make_masking(sample["mask_ratio"])
        draw = masking(np.zeros((NUM_MASKS,), "float32"), grid_size=grid)
        masks = np.ones((NUM_MASKS, grid[0] * grid[1]), bool)
        visible = to_numpy(draw["visible_indices"]).astype("int64")
        np.put_along_axis(masks, visible, False, axis=1)
        judges[name] = masks_judge(
            masks,
            sample["masked"],
            math.comb(grid[0] * grid[1], masking.count_patches(grid)[0]),
        )
    return judges


def _forward(arrays, config):
    model = make_model(arrays, config, config["norm_pix_loss"])
    encoder, decoder = model.encoder, model.decoder
    first, batch = encoder.blocks[0], _batch(arrays, config)
    layers = {
        "encoder_block_0_norm1": first.attention_norm,
        "encoder_block_0_attn": first.attention,
        "encoder_block_0_mlp": first.mlp_output,
        **{f"encoder_block_{i}": b for i, b in enumerate(encoder.blocks)},
        "latent": encoder.final_norm,
        "decoder_embed": decoder.embedding,
        **{f"decoder_block_{i}": b for i, b in enumerate(decoder.blocks)},
        "pred": decoder.prediction,
    }
    with recorded(layers) as passed:
        model.compute_losses(model.prepare(batch, False), training=False)
    results = {name: calls[-1][1] for name, calls in passed.items()}
    results["patch_embed"] = encoder.patch_embedding(batch["images"])
    results["encoder_input"] = passed["encoder_block_0"][-1][0]
    results["decoder_input"] = passed["decoder_block_0"][-1][0]
    # The decoder norms no class token, as nothing is predicted from it.
    last = results[f"decoder_block_{len(decoder.blocks) - 1}"]
    results["decoder_norm"] = decoder.final_norm(last)
    results = {name: to_numpy(values) for name, values in results.items()}
    for name, values in results.items():
        if name == "pred":
            results[name] = _restored(values, batch)
        elif name.startswith("decoder_") and name != "decoder_embed":
            patches = _restored(values[:, 1:], batch)
            results[name] = np.concatenate([values[:, :1], patches], axis=1)
    return named("forward/", results)


def _losses(arrays, config, name, normalize):
    model = make_model(arrays, config, normalize)
    batch = _batch(arrays, config)
    losses = model.compute_losses(model.prepare(batch, False), training=False)
    targets = to_numpy(
        keras_capi.ops.pixel_targets(
            batch["images"], model.encoder.patch_size, normalize
        )
    )
    predictions = _restored(model.predict_pixels(**batch), batch)
    errors = np.square(predictions - targets).mean(axis=-1)
    return {f"target/{name}": targets}, {
        f"loss/{name}": to_numpy(losses["pixel_loss"]),
        f"patch_losses/{name}": errors,
    }


def _tables(arrays, config):
    """The fixed positions, which are computed and not loaded."""
    model = make_model(arrays, config, True)
    width = model.encoder.hidden_dim
    encoder, decoder = model.encoder.positions.table, model.decoder.positions
    results = {
        "weights/pos_embed": to_numpy(encoder()),
        # Ours has no row of zeros for the class token.
        "weights/decoder_pos_embed": np.pad(
            to_numpy(decoder()), ((0, 0), (1, 0), (0, 0))
        ),
    }
    if config.get("nonsquare_grid"):
        grid = tuple(config["nonsquare_grid"])
        positions = keras_capi.ops.sine_positions(grid, width)
        results["positions/nonsquare"] = positions
    if "images_other_size" in arrays:
        image_shape = arrays["images_other_size"].shape[2:]
        grid = model.encoder.grid_size(image_shape)
        results["eval_other_size/pos_embed"] = to_numpy(encoder(grid_size=grid))
    return results


def _features(arrays, config):
    encoder = make_model(arrays, config, True).encoder
    images = channels_last(arrays["images"])
    positioned = encoder.embed(images)
    raw = encoder.encode(*positioned, normalize=False)
    results = {
        "eval/class_token": encoder(images)["global"],
        "eval/tokens": _tokens(encoder.encode(*positioned)),
        "eval/tokens_before_norm": _tokens(raw),
    }
    norm = under(arrays, "eval/fc_norm.")
    if norm:
        results["eval/global_pool"] = mean_pooled(encoder, images, norm)
    if "images_other_size" in arrays:
        images = channels_last(arrays["images_other_size"])
        outputs = encoder.encode(*encoder.embed(images))
        results["eval_other_size/tokens"] = _tokens(outputs)
    return {name: to_numpy(values) for name, values in results.items()}


def _tokens(outputs):
    parts = [to_numpy(outputs[name]) for name in ("prefix", "patches")]
    return np.concatenate(parts, axis=1)


def _trained_shapes(arrays):
    return shapes_of(without_tables(under(arrays, "weights/")))


def _gradients(arrays, config, normalize):
    model = make_model(arrays, config, normalize)
    gradients, _ = take_gradient_step(
        model,
        _batch(arrays, config),
        lambda state: pairs_of(state, model),
        _trained_shapes(arrays),
    )
    return gradients


def _training(arrays, config):
    model = make_model(arrays, config, config["norm_pix_loss"])
    settings = config["train"]
    per_epoch = settings["steps_per_epoch"]
    total_steps = settings["epochs"] * per_epoch
    warmup_steps = settings["warmup_epochs"] * per_epoch
    if warmup_steps != int(warmup_steps):
        raise ValueError("a warm-up that ends inside a step is not known")
    rate = warmup_cosine(
        settings["lr"],
        total_steps,
        int(warmup_steps),
        final_value=settings["min_lr"],
        warmup_endpoint=False,
    )
    batch_size = len(arrays["images"])
    model.compile(
        model.published_optimizer(
            total_steps,
            batch_size,
            learning_rate=rate,
            weight_decay=settings["weight_decay"],
        )
    )
    logs = [
        model.train_on_batch(
            _batch(arrays, config, "train/", step), return_dict=True
        )
        for step in range(total_steps)
    ]
    final = in_their_layout(
        lambda state: pairs_of(state, model), _trained_shapes(arrays)
    )
    return (
        {"train/losses": np.array([log["loss"] for log in logs])},
        {"schedule/lr": np.array([log["learning_rate"] for log in logs])},
        named("final/", final),
    )
