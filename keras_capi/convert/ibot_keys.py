"""What the weights of iBOT are called by its authors."""

from keras_capi.convert import dino_keys


def ibot_entries(model):
    """Returns the names of the weights of student, teacher, heads and centers.

    Args:
        model: `keras_capi.methods.IBOT`.

    Returns:
        Dictionary from names to pairs, see `pair_entries`.
    """
    networks = {part: network_entries(model, part) for part in dino_keys.PARTS}
    return {
        "center": (model.centering.center, _flat),
        "center2": (model.patch_centering.center, _flat),
        **{
            f"{part}.{name}": entry
            for part, entries in networks.items()
            for name, entry in entries.items()
        },
    }


def network_entries(model, part):
    """Returns the names of the weights of an encoder with its head.

    Prototypes that images and patches share have two names.

    Args:
        model: `keras_capi.methods.IBOT`.
        part: `"student"` or `"teacher"`.

    Returns:
        Dictionary from names to pairs, see `pair_entries`.
    """
    if part == "student":
        encoder, head, own = model.student, model.head, model.patch_prototypes
    else:
        encoder, head = model.teacher, model.teacher_head
        own = model.teacher_patch_prototypes
    entries = dino_keys.network_entries(encoder, head)
    entries.update(
        dino_keys.prototype_keys("head.last_layer2", own or head.prototypes)
    )
    if part == "student":
        entries["backbone.masked_embed"] = model.mask_token.token, _same
    return entries


def _same(array):
    return array


def _flat(array):
    return array.reshape(-1)
