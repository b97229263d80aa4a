import keras
import numpy as np
from helpers import make_images
from helpers import method_arrays
from helpers import to_numpy
from keras import ops

from keras_capi.ops import sobel_filter


def test_the_first_layers_of_the_authors_networks():
    arrays = method_arrays("deepcluster_sobel")
    edges = to_numpy(sobel_filter(arrays["images"]))
    np.testing.assert_allclose(edges, arrays["edges"], rtol=0, atol=1e-6)


def test_which_way_edges_run():
    images = np.zeros((1, 5, 5, 1), "float32")
    images[:, :, 2:] = 1.0
    edges = to_numpy(sobel_filter(images))[0, 2, 1:3]
    # It gets brighter to the right, and nothing changes downwards.
    np.testing.assert_array_equal(edges, [[-4.0, 0.0], [-4.0, 0.0]])


def test_half_precision_is_kept():
    edges = sobel_filter(ops.cast(make_images(1), "bfloat16"))
    assert keras.backend.standardize_dtype(edges.dtype) == "bfloat16"
