"""SimCLR as a file describes it, and where its weights go."""

import keras_capi
from benchmarks.replay.files import under
from benchmarks.replay.patch_trunk import PatchTrunk
from benchmarks.replay.weights import assign

HEAD = "projection_head/nl_"


def make_model(arrays, config):
    """Returns the model of a file with its initial weights.

    Args:
        arrays: Dictionary from name to array.
        config: The configuration that stands beside them.
    """
    encoder = PatchTrunk(
        config["patch_size"], config["width"], arrays["views"].shape[2:]
    )
    model = keras_capi.methods.SimCLR(
        encoder,
        config["temperature"],
        keras_capi.layers.SimCLRHead(
            config["proj_out_dim"],
            config["num_proj_layers"],
            config["batch_norm_decay"],
        ),
    )
    assign(pairs_of(model, under(arrays, "weights/")))
    return model


def pairs_of(model, state):
    """Yields pairs of a weight and its value in our layout.

    Args:
        model: `keras_capi.methods.SimCLR`.
        state: Dictionary from the authors' name to array.

    Raises:
        KeyError: If there is no weight for an array.
    """
    for name, values in state.items():
        weight = _weight_of(model, name)
        # A patch is a row here, and a small image there.
        yield weight, values.reshape(weight.shape)


def _weight_of(model, name):
    if name.startswith(HEAD):
        # Parts are numbered by how many the authors' program has made.
        number, part, *_, kind = name.removeprefix(HEAD).split("/")
        head, index = model.head, int(number)
        layers = head.layers if part.startswith("dense") else head.norms
        return getattr(layers[index], kind)
    _, part, kind = name.split("/")
    return getattr(getattr(model.encoder, part), kind)
