"""Maps of a model, as columns for `picture_grid`."""

from keras import ops

# The published models have 16 registers, more than a picture has room for.
NUM_REGISTERS = 3


def cluster_maps(clustering, feature_maps):
    """Returns the nearest cluster of each patch.

    Args:
        clustering: `keras_capi.layers.OnlineClustering`.
        feature_maps: Float32 array of shape `(images, rows, columns, width)`.

    Returns:
        Integer array of shape `(images, rows, columns)`.
    """
    logits = clustering.logits(ops.convert_to_tensor(feature_maps))
    return ops.convert_to_numpy(ops.argmax(logits, axis=-1))


def register_columns(registers, name="register"):
    """Returns a dictionary of columns: where the first registers attend.

    Args:
        registers: List with an item for each image: float arrays of shape
            `(registers, rows, columns)`.
        name: String. Prefix of the headings. Defaults to `"register"`.
    """
    return {
        f"{name} {index + 1}": [maps[index] for maps in registers]
        for index in range(min(NUM_REGISTERS, len(registers[0])))
    }
