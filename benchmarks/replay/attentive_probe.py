"""AIM's attentive probe in a step of its training, of Keras's parts."""

import keras
import numpy as np
from keras import ops

from benchmarks.replay.weights import to_numpy

EPSILON = 1e-6
# Of torch's moving statistics, which start from 0 and 1.
NEW_SHARE = 0.1


def attentive_probe(state, features, num_heads):
    """Returns the results of a file that are about the probe.

    Args:
        state: Dictionary from the authors' names to weights.
        features: Float array of shape `(batch, patches, width)`.
        num_heads: Integer.
    """
    width = features.shape[-1]
    flat = features.reshape(-1, width).astype("float64")
    mean, variance = flat.mean(axis=0), flat.var(axis=0)
    x = ((features - mean) / np.sqrt(variance + EPSILON)).astype("float32")

    def by_head(values):
        return ops.reshape(
            values, (len(features), -1, num_heads, width // num_heads)
        )

    query = np.repeat(state["cls_token"], len(features), axis=0)
    key, value = (
        ops.matmul(x, state[f"{name}.weight"].T) for name in ("k", "v")
    )
    pooled = ops.dot_product_attention(
        *(by_head(values) for values in (query, key, value))
    )
    pooled = ops.mean(ops.reshape(pooled, (len(features), -1, width)), axis=1)
    logits = ops.matmul(pooled, keras.ops.transpose(state["linear.weight"]))
    unbiased = variance * len(flat) / (len(flat) - 1)
    return {
        "eval/probe_logits": to_numpy(logits),
        "eval/probe/bn.running_mean": NEW_SHARE * mean,
        "eval/probe/bn.running_var": 1 - NEW_SHARE + NEW_SHARE * unbiased,
        "eval/probe/bn.num_batches_tracked": np.int32(1),
    }
