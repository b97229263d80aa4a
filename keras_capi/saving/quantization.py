"""What makes a model that was quantised come back from its config."""

import keras
from keras.dtype_policies import DTypePolicyMap


def serialize_dtype(model):
    """Serialises a model's dtype policy, with those of quantised layers.

    `keras.Model.quantize` changes the policies of layers deep inside. A model
    made from the config hands the map on to its layers, each of which finds
    its own policy there by its path.

    Args:
        model: A `keras.Model`.

    Returns:
        Dictionary: the `"dtype"` of the config.
    """
    policy = model.dtype_policy
    if not isinstance(policy, DTypePolicyMap):
        policies = {
            layer.path: layer.dtype_policy
            for layer in model._flatten_layers()
            if layer.quantization_mode is not None
        }
        if policies:
            policy = DTypePolicyMap(policy, policies)
    return keras.dtype_policies.serialize(policy)


def head_dtype(policy):
    """Returns the dtype policy of a head: float32 unless it was quantised."""
    return policy if isinstance(policy, DTypePolicyMap) else "float32"
