"""Which variables the backends' own kernels update."""

import keras
import pytest

from keras_capi.backend import have_fused_adamw

BACKEND = keras.backend.backend()


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow's kernel")
def test_kernel_of_tensorflow():
    """Not of half precision, not with skipped updates, not of replicas."""
    import tensorflow as tf

    weight, half = (
        keras.Variable([1.0], dtype=x) for x in ("float32", "float16")
    )
    variables = [weight, weight, half]
    skips = [False, True, False]
    assert have_fused_adamw(variables, skips) == [True, False, False]
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        assert have_fused_adamw(variables, skips) == [False] * 3
