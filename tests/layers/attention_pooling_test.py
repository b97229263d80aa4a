import numpy as np
import pytest
from helpers import make_images
from helpers import to_numpy
from layers import battery

from keras_capi.layers import AttentionPooling

TOKENS = make_images(3, 5, 12, 1)[..., 0]

CASE = battery.Case(
    AttentionPooling,
    {"num_heads": 3},
    (TOKENS,),
    battery.Output((3, 12)),
    trainable={
        "query": (12,),
        "key_value/kernel": (12, 24),
        "key_value/bias": (24,),
    },
)


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check):
    check(CASE)


def test_is_attention_of_one_query():
    layer = AttentionPooling(num_heads=2)
    layer.build(TOKENS.shape)
    query = np.random.default_rng(0).normal(size=12).astype("float32")
    layer.query.assign(query)
    kernel = to_numpy(layer.key_value.kernel)
    key, value = np.split(TOKENS @ kernel, 2, axis=-1)
    expected = np.zeros((3, 12))
    for head in (slice(0, 6), slice(6, 12)):
        scores = key[..., head] @ query[head] / np.sqrt(6)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        expected[:, head] = np.einsum("bt,btd->bd", weights, value[..., head])
    np.testing.assert_allclose(to_numpy(layer(TOKENS)), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("width", "heads"), [(1024, 16), (96, 1), (200, 4), (48, 1)]
)
def test_default_heads_are_as_published(width, heads):
    layer = AttentionPooling()
    layer.build((None, None, width))
    assert layer.head_count == heads


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="num_heads=5, width=12"):
        AttentionPooling(5)(TOKENS)
