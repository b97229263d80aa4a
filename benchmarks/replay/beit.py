"""BEiT on the arrays of its authors."""

import keras
import numpy as np

from benchmarks.replay.beit_encoder import mean_pooled
from benchmarks.replay.beit_encoder import position_index
from benchmarks.replay.beit_encoder import without_indices
from benchmarks.replay.beit_model import make_masking
from benchmarks.replay.beit_model import make_model
from benchmarks.replay.beit_model import pairs_of
from benchmarks.replay.comparison import DIFFERENT
from benchmarks.replay.comparison import Replay
from benchmarks.replay.files import channels_last
from benchmarks.replay.files import named
from benchmarks.replay.files import under
from benchmarks.replay.gradients import gradient_norm
from benchmarks.replay.gradients import take_gradient_step
from benchmarks.replay.groups import names_by_decay
from benchmarks.replay.recording import recorded
from benchmarks.replay.schedules import warmup_cosine
from benchmarks.replay.varied_masks import draw_masks
from benchmarks.replay.varied_masks import varied_masks_judge
from benchmarks.replay.weights import in_their_layout
from benchmarks.replay.weights import shapes_of
from benchmarks.replay.weights import to_numpy
from keras_capi.convert.vit_keys import INDEX


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
    index = position_index(model.encoder)
    result.add(
        "forward", {name: index for name in arrays if name.endswith(INDEX)}
    )
    forward, losses = _forward(arrays, model)
    result.add("forward", forward)
    result.add("forward", _features(arrays, model.encoder))
    result.add("losses", losses)
    result.add("gradients", named("grad/", _gradients(arrays, config)))
    for group, results in _training(arrays, config).items():
        result.add(group, results)
    if "optimizer_groups" in description:
        groups = description["optimizer_groups"]
        result.add_figures("schedules", _groups(arrays, config, groups))
    # Of the tests' arrays, which others imply.
    if "left_out" in description:
        result.keep(set(description["shapes"]))
    return result


def _inputs(arrays):
    uses = {
        "images": "images of the forward pass",
        "mask": "masks of the forward pass",
        "token_ids": "words of the forward pass",
        "train/images": "images of the training steps",
        "train/mask": "masks of the training steps",
        "train/token_ids": "words of the training steps",
    }
    for name in arrays:
        if name.startswith("weights/") and not name.endswith(INDEX):
            uses[name] = "loaded into the model"
        if name.startswith("eval/fc_norm."):
            uses[name] = "loaded into a norm"
    return uses


def _batch(arrays, prefix="", step=...):
    mask, token_ids = (
        arrays[f"{prefix}{name}"][step] for name in ("mask", "token_ids")
    )
    return {
        "images": channels_last(arrays[prefix + "images"][step]),
        "mask": mask.reshape(len(mask), -1),
        "token_ids": token_ids.reshape(len(mask), -1),
    }


def _sampled_masks(samples):
    judges = {}
    for name, sample in samples.items():
        grid_size = (sample["rows"], sample["columns"])
        masks = draw_masks(make_masking(sample), grid_size)
        sizes = set(range(sample["num_masking_patches"] + 1))
        judges[name] = varied_masks_judge(masks, sizes)
    return judges


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
        "logits_of_all_patches": model.head,
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
    results["logits"] = results["logits_of_all_patches"][batch["mask"]]
    if encoder.positions.relative == "shared":
        bias = to_numpy(passed["bias_0"][-1][1])
        results["relative_position_bias"] = bias[0]
    return (
        {
            **named("forward/", results),
            "labels": batch["token_ids"][batch["mask"]],
        },
        {
            "loss": to_numpy(losses["token_loss"]),
            "accuracy": to_numpy(losses["token_accuracy"]),
        },
    )


def _features(arrays, encoder):
    images = channels_last(arrays["images"])
    numbers = tuple(range(1, encoder.num_layers + 1))
    raw = encoder.encode_images(images, layers=numbers, normalize=False)
    results = {
        "eval/layers": np.stack(
            [to_numpy(raw[f"layer_{number}"]) for number in numbers]
        ),
        "eval/class_token": to_numpy(encoder(images)["global"]),
    }
    norm = under(arrays, "eval/fc_norm.")
    if norm:
        results["eval/mean_pooled"] = mean_pooled(encoder, images, norm)
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


def _total_steps(settings):
    return settings["epochs"] * settings["steps_per_epoch"]


def _compile(model, config):
    settings = config["train"]
    total_steps = _total_steps(settings)
    warmup_steps = settings.get("warmup_steps", -1)
    if warmup_steps <= 0:
        warmup_steps = settings["warmup_epochs"] * settings["steps_per_epoch"]
    weight_decay = settings["weight_decay"]
    end = settings.get("weight_decay_end")
    if end is not None and end != weight_decay:
        weight_decay = warmup_cosine(weight_decay, total_steps, final_value=end)
    beta_1, beta_2 = settings.get("opt_betas") or (0.9, 0.999)
    model.compile(
        model.published_optimizer(
            total_steps,
            config["batch"],
            learning_rate=warmup_cosine(
                settings["lr"],
                total_steps,
                warmup_steps,
                final_value=settings["min_lr"],
            ),
            weight_decay=weight_decay,
            clip_norm=settings["clip_grad"] or None,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=settings["opt_eps"],
        )
    )


def _training(arrays, config):
    model, twin = (make_model(arrays, config) for _ in range(2))
    _compile(model, config)
    twin.compile(keras.optimizers.SGD(1.0))
    logs, norms, decays = [], [], []
    decay = model.optimizer.weight_decay
    for step in range(_total_steps(config["train"])):
        batch = _batch(arrays, "train/", step)
        twin.set_weights(model.get_weights())
        norms.append(gradient_norm(twin, batch))
        decays.append(decay(step) if callable(decay) else decay)
        logs.append(model.train_on_batch(batch, return_dict=True))
    final = in_their_layout(
        lambda state: pairs_of(state, model), _trained_shapes(arrays)
    )

    def logged(name):
        return np.array([log[name] for log in logs])

    return {
        "losses": {
            "train/losses": logged("loss"),
            "train/accuracies": logged("token_accuracy"),
        },
        "gradients": {"train/gradient_norms": np.array(norms)},
        "schedules": {
            "schedule/lr": logged("learning_rate"),
            "schedule/weight_decay": np.array(
                [float(to_numpy(decay)) for decay in decays]
            ),
        },
        "final": named("final/", final),
    }


def _groups(arrays, config, groups):
    """Whether the same parameters decay."""
    model = make_model(arrays, config)
    _compile(model, config)
    decayed, exempt = names_by_decay(
        model, lambda state: pairs_of(state, model), _trained_shapes(arrays)
    )
    ours = {True: set(decayed), False: set(exempt)}
    figures = {}
    for group in groups:
        decays = group["weight_decay"] > 0
        is_same = ours[decays] == set(group["params"])
        kind = "decay" if decays else "no_decay"
        figures[f"optimizer_groups/{kind}"] = 0.0 if is_same else DIFFERENT
    return figures
