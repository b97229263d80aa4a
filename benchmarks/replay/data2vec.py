"""data2vec on the arrays of its authors."""

import keras
import numpy as np

import keras_capi
from benchmarks.replay.beit_encoder import position_index
from benchmarks.replay.beit_encoder import without_indices
from benchmarks.replay.comparison import DIFFERENT
from benchmarks.replay.comparison import Replay
from benchmarks.replay.data2vec_model import make_model
from benchmarks.replay.data2vec_model import pairs_of
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

NETWORKS = ("student", "teacher")
# What the authors' own moving average of the index did to a training.
PUBLISHED = "train_as_published/"


def replay(arrays, description):
    """Returns the `Replay` of a file, see `comparison`.

    There may be masks among the arrays, and nothing else.
    """
    result = Replay()
    if "masks" in description:
        result.add("masks", sampled_masks(description["masks"]))
    else:
        result.notes["masks of the sampler"] = "no file of masks is there"
    if "model" not in description:
        return result
    config = description
    result.inputs = _inputs(arrays)
    model = make_model(arrays, config)
    result.add("forward", _indices(arrays, model))
    forward, losses = _forward(arrays, config)
    result.add("forward", forward)
    result.add("losses", losses)
    result.add("gradients", _gradients(arrays, config))
    for group, results in _training(arrays, config).items():
        result.add(group, results)
    if "parameter_groups" in config:
        result.add_figures("schedules", _groups(arrays, config))
    result.leave_out(config.get("left_out", ()))
    return result


def _inputs(arrays):
    uses = {
        "images": "images of the forward pass",
        "mask": "masks of the forward pass",
        "train/images": "images of the training steps",
        "train/mask": "masks of the training steps",
    }
    for name in arrays:
        if name.startswith("weights/") and not name.endswith(INDEX):
            uses[name] = "loaded into the model"
        if name.startswith(PUBLISHED):
            uses[name] = (
                "not reproduced: a teacher whose index of relative positions "
                "is averaged too"
            )
    return uses


def _batch(arrays, prefix="", step=...):
    mask = arrays[prefix + "mask"][step]
    return {
        "images": channels_last(arrays[prefix + "images"][step]),
        "mask": mask.reshape(len(mask), -1),
    }


def sampled_masks(names):
    """Returns the judges of a file's masks, see `varied_masks_judge`.

    Args:
        names: Their names, such as `14x14/masked_120`: the grid, and how many
            patches to hide at most.
    """
    judges = {}
    for name in names:
        grid, _, kind = name.partition("/")
        grid = tuple(int(size) for size in grid.split("x"))
        largest = int(kind.removeprefix("masked_"))
        masking = keras_capi.layers.BlockwiseMasking(
            mask_ratio=largest / (grid[0] * grid[1]), min_area=16, seed=0
        )
        judges[name] = varied_masks_judge(
            draw_masks(masking, grid), set(range(largest + 1))
        )
    return judges


def _indices(arrays, model):
    """Those of the biases, which are computed and not loaded."""
    return {
        name: position_index(model.encoder)
        for name in arrays
        if name.endswith(INDEX) and not name.startswith(PUBLISHED)
    }


def _forward(arrays, config):
    model, batch = make_model(arrays, config), _batch(arrays)
    results = {}
    for part, encoder in zip(
        NETWORKS, (model.encoder, model.teacher), strict=True
    ):
        results |= named(f"{part}/", _layers(model, encoder, part, batch))
    targets = to_numpy(model.compute_targets(batch["images"]))
    results["target/targets"] = targets[batch["mask"]]
    results |= named("target/", _normalized(model, results))
    losses = model.compute_losses(batch, training=False)
    losses = {name: float(to_numpy(value)) for name, value in losses.items()}
    losses["total"] = sum(
        weight * losses[name] for name, weight in model.loss_weights.items()
    )
    results_of_losses = {
        "loss/regression": np.array(losses["feature_loss"]),
        "loss/total": np.array(losses["total"]),
    }
    if "loss/variance" in arrays:
        results_of_losses["loss/variance"] = np.array(losses["variance_loss"])
    return results, results_of_losses


def _layers(model, encoder, part, batch):
    """What the layers of a network put out, by the authors' names."""
    blocks = encoder.blocks
    layers = {
        "patches": encoder.patch_embedding,
        "normed": encoder.final_norm,
        **{f"block_{i}": block for i, block in enumerate(blocks)},
        # Behind the scale, if there is one.
        **{
            f"mlp_output_{i}": block.mlp_scale or block.mlp_output
            for i, block in enumerate(blocks)
        },
        **{f"bias_{i}": b for i, b in enumerate(encoder.positions.biases)},
    }
    results = {}
    with recorded(layers) as passed:
        if part == "student":
            prediction = to_numpy(model.predict_features(**batch))
            results["prediction"] = prediction[batch["mask"]]
        else:
            encoder.encode_images(batch["images"], normalize=False)
    for name, calls in passed.items():
        if calls and not name.startswith("bias_"):
            results[name] = to_numpy(calls[-1][1])
    results["tokens"] = to_numpy(passed["block_0"][-1][0])
    if encoder.positions.relative == "shared":
        results["relative_position_bias"] = to_numpy(passed["bias_0"][-1][1])[0]
    return results


def _normalized(model, results):
    """What each norm of the targets returns, numbered as they are called."""
    kind = "block" if model.target_outputs == "block" else "mlp_output"
    layers = [
        results[f"teacher/{kind}_{number - 1}"][
            :, model.encoder.num_prefix_tokens :
        ]
        for number in model.target_layers
    ]
    outputs = {}
    for norm in model.target_norms:
        layers = [_norm(layer, norm, outputs) for layer in layers]
    average = np.mean(layers, axis=0)
    for norm in model.average_norms:
        average = _norm(average, norm, outputs)
    return outputs


def _norm(values, norm, outputs):
    """Normalises, and adds the result as the next of its kind."""
    number = sum(name.startswith(norm) for name in outputs)
    values = to_numpy(keras_capi.ops.average_layers([values], [norm], []))
    # In the authors' code all but this one have the channels first.
    outputs[f"{norm}_norm_{number}"] = (
        values if norm == "layer" else values.swapaxes(1, 2)
    )
    return values


def _shapes(arrays, part):
    return shapes_of(without_indices(under(arrays, f"weights/{part}.")))


def _gradients(arrays, config):
    model = make_model(arrays, config)
    gradients, _ = take_gradient_step(
        model,
        _batch(arrays),
        pairs_of(model, "student"),
        _shapes(arrays, "student"),
    )
    squares = [
        np.square(values, dtype="float64").sum()
        for values in gradients.values()
    ]
    return {
        **named("grad/", gradients),
        "gradient_norm": np.sqrt(np.sum(squares)),
    }


def _compile(model, arrays, config):
    total_steps, end = config["epochs"] * config["ipe"], "weight_decay_end"
    weight_decay = config["weight_decay"]
    if config.get(end) is not None:
        weight_decay = warmup_cosine(
            weight_decay, total_steps, final_value=config[end]
        )
    beta_1, beta_2 = config.get("opt_betas") or (0.9, 0.999)
    model.compile(
        model.published_optimizer(
            total_steps,
            len(arrays["images"]),
            learning_rate=warmup_cosine(
                config["lr"],
                total_steps,
                config["warmup_epochs"] * config["ipe"],
                final_value=config["min_lr"],
            ),
            weight_decay=weight_decay,
            clip_norm=config["clip_grad"] or None,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=config["opt_eps"],
        )
    )


def _training(arrays, config):
    model, twin = (make_model(arrays, config) for _ in range(2))
    _compile(model, arrays, config)
    twin.compile(keras.optimizers.SGD(1.0))
    losses, norms, schedules = [], [], {}
    for step in range(config["epochs"] * config["ipe"]):
        batch = _batch(arrays, "train/", step)
        twin.set_weights(model.get_weights())
        norms.append(gradient_norm(twin, batch))
        decay = model.optimizer.weight_decay
        logs = model.train_on_batch(batch, return_dict=True)
        losses.append(logs["loss"])
        for name, value in (
            ("lr", logs["learning_rate"]),
            ("weight_decay", decay(step) if callable(decay) else decay),
            ("ema_decay", logs["ema_momentum"]),
        ):
            schedules.setdefault(name, []).append(float(to_numpy(value)))
    final = {}
    for part in NETWORKS:
        weights = in_their_layout(pairs_of(model, part), _shapes(arrays, part))
        final |= named(f"final/{part}.", weights)
    return {
        "losses": {"train/losses": np.array(losses)},
        "gradients": {"train/gradient_norms": np.array(norms)},
        "schedules": {
            f"schedule/{name}": np.array(v) for name, v in schedules.items()
        },
        "final": final,
    }


def _groups(arrays, config):
    """Whether the same parameters decay."""
    model = make_model(arrays, config)
    _compile(model, arrays, config)
    ours = names_by_decay(
        model, pairs_of(model, "student"), _shapes(arrays, "student")
    )
    theirs = config["parameter_groups"]
    return {
        f"parameter_groups/{name}": 0.0
        if set(names) == set(theirs[name])
        else DIFFERENT
        for name, names in zip(("decay", "no_decay"), ours, strict=True)
    }
