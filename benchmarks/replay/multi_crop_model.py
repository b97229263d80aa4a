"""What SwAV and DeepCluster have in common, by their authors' names."""

import itertools

import numpy as np

import keras_capi
from benchmarks.replay.comparison import DIFFERENT
from benchmarks.replay.comparison import TOLERANCES
from benchmarks.replay.comparison import Noise
from benchmarks.replay.patch_trunk import PatchTrunk
from benchmarks.replay.patch_trunk import trunk_entries
from benchmarks.replay.schedules import warmup_cosine
from keras_capi.convert.vit_keys import linear_keys
from keras_capi.methods.inputs.view_inputs import VIEW_NAMES

HEAD = "projection_head"
COUNTER = f"{HEAD}.1.num_batches_tracked"
MEAN = f"{HEAD}.1.running_mean"
# Of a gradient that is zero, in each entry.
ROUNDING = 4e-8


def make_encoder(config, num_channels):
    """Returns the trunk of a file."""
    return PatchTrunk(
        config["patch_size"],
        config["width"],
        (*config["size_crops"][0], num_channels),
    )


def make_head(config):
    """Returns the projection head of a file."""
    return keras_capi.layers.SwAVHead(config["hidden_mlp"], config["feat_dim"])


def entries_of(encoder, head, prototypes):
    """Returns the names of all weights, see `pair_entries`.

    Args:
        encoder: `PatchTrunk`.
        head: `keras_capi.layers.SwAVHead`.
        prototypes: Dictionary from the authors' name to
            `keras_capi.layers.UnitPrototypes`.
    """
    entries = trunk_entries(encoder)
    if head.hidden is None:
        entries |= linear_keys(HEAD, head.output_layer)
    else:
        norm = head.normalization
        entries |= linear_keys(f"{HEAD}.0", head.hidden)
        entries |= linear_keys(f"{HEAD}.1", norm)
        entries |= linear_keys(f"{HEAD}.3", head.output_layer)
        entries[MEAN] = norm.moving_mean, np.asarray
        entries[f"{HEAD}.1.running_var"] = norm.moving_variance, np.asarray
    return entries | {
        f"{name}.weight": (layer.kernel, np.transpose)
        for name, layer in prototypes.items()
    }


def without_counter(state):
    """Returns arrays without torch's count of batches, which we do not keep."""
    return {name: x for name, x in state.items() if name != COUNTER}


def count_batches(state, prefix, number):
    """Returns torch's count after so many batches, if there is one."""
    if COUNTER not in state:
        return {}
    return {prefix + COUNTER: state[COUNTER] + number}


def batch_of(arrays, prefix="", step=...):
    """Views with the batch first, in Keras's layout."""
    batch = {}
    names = itertools.chain(
        VIEW_NAMES, map("size_{:03}_views".format, itertools.count())
    )
    while (place := f"{prefix}views_{len(batch)}") in arrays:
        # From (view, batch, channel, row, column).
        batch[next(names)] = arrays[place][step].transpose(1, 0, 3, 4, 2)
    return batch


def make_optimizer(model, config, total_steps, batch_size):
    """Returns the optimizer that a configuration describes."""
    return model.published_optimizer(
        total_steps,
        batch_size,
        learning_rate=warmup_cosine(
            config["base_lr"],
            total_steps,
            config["warmup_epochs"] * config["steps_per_epoch"],
            start_value=config["start_warmup"],
            final_value=config["final_lr"],
        ),
        frozen_steps=config["freeze_prototypes_niters"],
        weight_decay=config["wd"],
    )


def rates_error(rates):
    """Returns the function from the file's learning rates to their error.

    Beyond what float32 tells apart, as rates are above 1 here.

    Args:
        rates: Sequence of floats.
    """
    rates = np.array(rates, "float32")

    def error(theirs):
        if theirs.shape != rates.shape or not np.isfinite(theirs).all():
            return DIFFERENT
        difference = np.abs(rates - theirs) - np.spacing(rates)
        return float(max(difference.max(), 0.0) / max(theirs.max(), 1.0))

    return error


def bias_noise(results, rates, weight_decay):
    """Returns the `Noise` of what has no gradient, after a training.

    Batch normalisation takes away what a bias before it adds. LARC makes steps
    of the bias's length of its gradient and its decay together, so that
    rounding counts the more the weaker the decay.

    Args:
        results: Dictionary from names to arrays.
        rates: Array of learning rates.
        weight_decay: Float.
    """
    bias = results.get(f"final/{HEAD}.0.bias")
    if bias is None:
        return {}
    length = float(np.linalg.norm(bias))
    rounding = ROUNDING * np.sqrt(bias.size)
    share = rounding / (rounding + weight_decay * length + 1e-8)
    # Momentum adds up to ten steps.
    bound = 2 * np.sum(rates) * 10 * 0.001 * length * share
    return {
        name: Noise(
            np.full(results[name].shape, True),
            float(bound) + TOLERANCES["final"],
            "the gradient of a bias before batch normalisation is zero",
        )
        for name in (f"final/{HEAD}.0.bias", f"final/{MEAN}")
    }
