"""Which variables the backends' own kernels update."""

import keras
import pytest

from keras_capi.backend import has_fused_adamw

BACKEND = keras.backend.backend()


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow's kernel")
def test_kernel_of_tensorflow():
    """Not of half precision, not with skipped updates, not of replicas."""
    import tensorflow as tf

    weight, half = (
        keras.Variable([1.0], dtype=x) for x in ("float32", "float16")
    )
    assert has_fused_adamw(weight, skips=False)
    assert not has_fused_adamw(weight, skips=True)
    assert not has_fused_adamw(half, skips=False)
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        assert not has_fused_adamw(weight, skips=False)
