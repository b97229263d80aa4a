"""What the weights of SimMIM are called by its authors."""

import numpy as np

from keras_capi.convert.vit_keys import vit_entries


def simmim_entries(model, names=()):
    """Returns the names of the weights of encoder, mask token and head.

    Args:
        model: `keras_capi.methods.SimMIM`.
        names: Names that are there, see `vit_entries`.

    Returns:
        Dictionary from names to pairs, see `pair_entries`.
    """
    encoder, head = model.encoder, model.head
    channels = encoder.image_shape[-1]

    def to_row_column_channel(array):
        # Outputs are (channel, row, column) within the patch.
        shape = (channels, encoder.patch_size, encoder.patch_size)
        array = array.reshape(*shape, -1).transpose(1, 2, 0, 3)
        return array.reshape(head.units, -1)

    own = {name.removeprefix("encoder.") for name in names}
    return {
        **{f"encoder.{k}": v for k, v in vit_entries(encoder, own).items()},
        "encoder.mask_token": (
            model.mask_token.token,
            lambda x: x.reshape(1, -1),
        ),
        "decoder.0.weight": (
            head.kernel,
            lambda x: np.transpose(to_row_column_channel(x)),
        ),
        "decoder.0.bias": (
            head.bias,
            lambda x: to_row_column_channel(x).reshape(-1),
        ),
    }
