"""Attention, in the layout that is fastest on each backend."""

import math

from keras import ops
from keras.distribution import distribution

from keras_capi.backend.active import BACKEND

# A score within the range of half precision that softmax turns into 0.
MASKED_SCORE = -3e4
# XLA on the CPU writes all scores to memory. Above MANY_SCORES they are
# computed in parts, which stay in the cache.
MANY_SCORES = 2**23
SCORES_AT_A_TIME = 2**20


def dot_product_attention(
    query, key, value, bias=None, mask=None, factors=None, causal=False
):
    """Attends like `keras.ops.dot_product_attention`.

    Unlike that, it takes both a bias of the scores and a mask on every backend,
    and factors for the attention weights. `causal` hides from each query the
    keys that come after its own.
    """
    if causal and BACKEND == "torch" and bias is mask is factors is None:
        return _fused(query, key, value, is_causal=True)
    if factors is not None:
        # Fused attention does not expose its weights.
        weights = attention_weights(query, key, bias, mask, causal) * factors
        weights = ops.cast(weights, value.dtype)
        return ops.einsum("bhqk,bkhd->bqhd", weights, value)
    bias = _hide(bias, mask, ops.shape(query)[1] if causal else None)
    if bias is not None:
        bias = ops.cast(bias, query.dtype)
    if BACKEND == "torch":
        return _fused(query, key, value, attn_mask=bias)
    if BACKEND == "jax":
        import jax

        if jax.default_backend() == "cpu":
            return _in_parts(query, key, value, bias)
    scale = query.shape[-1] ** -0.5
    if BACKEND == "tensorflow" and query.dtype == "float16":
        # Keras scales the scores, which may have overflowed by then.
        query, scale = query * scale, 1.0
    return ops.dot_product_attention(query, key, value, bias=bias, scale=scale)


def attention_weights(query, key, bias=None, mask=None, causal=False):
    """Returns the attention weights: the softmax of the scores, in float32.

    Args:
        query: Float tensor of shape `(batch, queries, num_heads, size)`.
        key: Float tensor of shape `(batch, keys, num_heads, size)`.
        bias: Float tensor, added to the scaled scores, or `None`. Defaults to
            `None`.
        mask: Boolean tensor of shape `(batch or 1, queries, keys)`, `True`
            where to attend, or `None`. Defaults to `None`.
        causal: Boolean. Whether to hide keys that come after a query's own.
            Defaults to `False`.

    Returns:
        Float32 tensor of shape `(batch, num_heads, queries, keys)`.
    """
    # Scaled first, as large scores would overflow in half precision.
    query = query * query.shape[-1] ** -0.5
    scores = ops.cast(ops.einsum("bqhd,bkhd->bhqk", query, key), "float32")
    bias = _hide(bias, mask, ops.shape(query)[1] if causal else None)
    if bias is not None:
        scores = scores + ops.cast(bias, "float32")
    return ops.softmax(scores, axis=-1)


def _hide(bias, mask, num_ordered):
    """Returns a bias of the scores that applies a mask or causal order."""
    if num_ordered is not None:
        places = ops.arange(num_ordered, dtype="int32")
        order = (places[:, None] >= places)[None]
        mask = order if mask is None else ops.logical_and(mask, order)
    if mask is None:
        return bias
    mask = ops.cast(mask, "bool")[:, None]
    return ops.where(mask, 0.0 if bias is None else bias, MASKED_SCORE)


def _fused(query, key, value, **options):
    """Calls torch's kernel on views; Keras would copy its arguments."""
    from torch.nn.functional import scaled_dot_product_attention

    attended = scaled_dot_product_attention(
        *(x.transpose(1, 2) for x in (query, key, value)), **options
    )
    return attended.transpose(1, 2)


def _in_parts(query, key, value, bias):
    """Attends in a few images at a time if there are many scores."""
    import jax

    num_images, num_queries, num_heads, _ = query.shape
    sizes = (num_heads, num_queries, key.shape[1])
    # Sizes are symbolic in an export, and several devices share the images.
    if (
        not all(isinstance(size, int) for size in (num_images, *sizes))
        or num_images * math.prod(sizes) < MANY_SCORES
        or distribution() is not None
    ):
        return _by_heads(query, key, value, bias)
    if bias is not None:
        bias = ops.broadcast_to(bias, (num_images, *bias.shape[1:]))

    def attend(image):
        parts = jax.tree.map(lambda x: x[None], image)
        return _by_heads(*parts)[0]

    return jax.lax.map(
        attend,
        (query, key, value, bias),
        batch_size=max(1, SCORES_AT_A_TIME // math.prod(sizes)),
    )


def _by_heads(query, key, value, bias):
    """Attends with a head's tokens together in memory, as XLA prefers.

    Otherwise it copies each operand before and after each product.
    """
    dtype = query.dtype
    # On the CPU, XLA has no half-precision product with a float32 sum.
    query, key, value = (
        ops.transpose(ops.cast(x, "float32"), (0, 2, 1, 3))
        for x in (query, key, value)
    )
    scale = query.shape[-1] ** -0.5
    scores = ops.einsum("bhqd,bhkd->bhqk", query * scale, key)
    if bias is not None:
        scores = scores + ops.cast(bias, "float32")
    highest = ops.max(scores, axis=-1, keepdims=True)
    scores = ops.exp(scores - ops.stop_gradient(highest))
    # Divided after the product, as there are fewer channels than tokens.
    attended = ops.einsum("bhqk,bhkd->bhqd", scores, value)
    attended = attended / ops.sum(scores, axis=-1, keepdims=True)
    return ops.cast(ops.transpose(attended, (0, 2, 1, 3)), dtype)
