"""Groups of CAPI's weights, for its optimizer and for several devices."""

import keras


def capi_groups(student, projection, head, targets):
    """Returns the groups of parameters of `capi_optimizer`.

    Args:
        student: `keras_capi.encoders.CAPIBackbone`.
        projection: Layer between it and the head, or `None`.
        head: Layer.
        targets: `keras_capi.layers.PatchTargets`.
    """
    embedding = student.encoder.patch_embedding
    behind = [head] if projection is None else [projection, head]
    return {
        "patch_embedding": embedding.weights,
        "biases": [
            embedding.bias,
            # The prototypes' gains decay, though, as published.
            *(v for x in behind for v in x.weights if v.name == "bias"),
        ],
        "norms": [
            norm.scale
            for block in student.list_blocks()
            for norm in (block.attention_norm, block.mlp_norm)
        ],
        "rotary_frequencies": [
            attention.rotary_frequencies for attention in student.list_rotary()
        ],
        "clustering": targets.weights,
    }


def capi_layout_map(device_mesh, model_axis):
    """Implements `CAPI.get_layout_map`, with the same arguments."""
    layout_map = keras.distribution.LayoutMap(device_mesh)
    for name in ("query_key_value", "query", "key_value", "mlp_hidden"):
        layout_map[f".*/{name}/kernel"] = (None, model_axis)
    for name in ("output_projection", "mlp_output"):
        layout_map[f".*/{name}/kernel"] = (model_axis, None)
    for name in ("cluster_kernel", "direction"):
        layout_map[f".*/{name}"] = (None, model_axis)
    for name in ("cluster_bias", "gain"):
        layout_map[f".*/{name}"] = (model_axis,)
    return layout_map
