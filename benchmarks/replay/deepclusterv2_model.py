"""DeepCluster v2 as a file describes it, and where its weights go."""

import keras_capi
from benchmarks.replay.files import under
from benchmarks.replay.multi_crop_model import batch_of
from benchmarks.replay.multi_crop_model import entries_of
from benchmarks.replay.multi_crop_model import make_encoder
from benchmarks.replay.multi_crop_model import make_head
from benchmarks.replay.multi_crop_model import without_counter
from benchmarks.replay.weights import assign
from keras_capi.convert.vit_keys import pair_entries


def make_model(arrays, config):
    """Returns the model of a file with its initial weights.

    Args:
        arrays: Dictionary from name to array.
        config: The configuration that stands beside them.
    """
    model = keras_capi.methods.DeepCluster(
        make_encoder(config, arrays["memory/views_0"].shape[3]),
        config["nmb_prototypes"],
        head=make_head(config),
        temperature=config["temperature"],
        memory_views=config["crops_for_assign"],
        num_images=config["images"],
    )
    assign(pairs_of(model)(under(arrays, "weights/")))
    return model


def pairs_of(model):
    """Returns the function that pairs all weights with arrays."""
    prototypes = {
        f"prototypes.prototypes{number}": layer
        for number, layer in enumerate(model.prototypes)
    }
    entries = entries_of(model.encoder, model.head, prototypes)
    return lambda state: pair_entries(entries, without_counter(state))


def numbered_batch(arrays, prefix, step):
    """Views of a step with the numbers of their images."""
    indices = arrays[f"{prefix}indices"][step].astype("int32")
    return {**batch_of(arrays, prefix, step), "indices": indices}


def fill_memory(model, arrays, prefix):
    """Fills the memory by the batches of an epoch."""
    steps = len(arrays[f"{prefix}indices"])
    for step in range(steps):
        model.remember(numbered_batch(arrays, prefix, step))
    model.memory.rewind()
    return steps
