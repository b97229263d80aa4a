"""The parts of a network by their depth, for rates that differ."""


def depth_groups(model, encoder, last_block=()):
    """Returns the variables of a model by depth, as layer-wise decay needs.

    Args:
        model: `keras.Model` around the encoder.
        encoder: Model with `blocks`, of which there are `L`.
        last_block: Other variables to count to the last block.

    Returns:
        Dictionary from names to lists of variables: `"depth_0"` is what comes
        before the blocks, `"depth_1"` to `"depth_L"` are they, and
        `"depth_{L + 1}"` is the final norm and all outside the encoder.
    """
    blocks = [block.weights for block in encoder.blocks]
    blocks[-1] = [*blocks[-1], *last_block]
    final_norm = getattr(encoder, "final_norm", None)
    behind = [] if final_norm is None else final_norm.weights
    known = {id(x) for variables in (*blocks, behind) for x in variables}
    first = [x for x in encoder.weights if id(x) not in known]
    known |= {id(x) for x in first}
    behind += [x for x in model.weights if id(x) not in known]
    depths = [first, *blocks, behind]
    return {f"depth_{depth}": x for depth, x in enumerate(depths)}
