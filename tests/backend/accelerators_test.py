"""What computes."""

from keras import ops

from keras_capi import backend


def test_the_device_of_a_tensor_tells():
    device = getattr(ops.ones(()), "device", "CPU")
    assert backend.has_accelerator() == ("cpu" not in str(device).lower())
