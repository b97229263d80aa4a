"""SwAV as a file describes it, and where its weights go."""

import keras_capi
from benchmarks.replay.files import under
from benchmarks.replay.multi_crop_model import entries_of
from benchmarks.replay.multi_crop_model import make_encoder
from benchmarks.replay.multi_crop_model import make_head
from benchmarks.replay.multi_crop_model import without_counter
from benchmarks.replay.weights import assign
from keras_capi.convert.vit_keys import pair_entries


def make_model(arrays, config, queue_size=0, queue_start=0):
    """Returns the model of a file with its initial weights.

    Args:
        arrays: Dictionary from name to array.
        config: The configuration that stands beside them.
        queue_size: Integer. Defaults to `0`.
        queue_start: Integer. Defaults to `0`.
    """
    model = keras_capi.methods.SwAV(
        make_encoder(config, arrays["views_0"].shape[2]),
        config["nmb_prototypes"],
        head=make_head(config),
        temperature=config["temperature"],
        epsilon=config["epsilon"],
        num_iterations=config["sinkhorn_iterations"],
        assigned_views=config["crops_for_assign"],
        queue_size=queue_size,
        queue_start=queue_start,
    )
    assign(pairs_of(model)(under(arrays, "weights/")))
    return model


def make_pretrained_queue(arrays, config):
    """Returns the model of the one step, whose queue is full."""
    stored = arrays.get("queue")
    if stored is None:
        return make_model(arrays, config)
    model = make_model(arrays, config, stored.shape[1])
    # The newest first, all views of an image together.
    model.queue(stored.swapaxes(0, 1))
    return model


def pairs_of(model):
    """Returns the function that pairs all weights with arrays."""
    entries = entries_of(
        model.encoder, model.head, {"prototypes": model.prototypes}
    )
    return lambda state: pair_entries(entries, without_counter(state))
