import numpy as np

from keras_capi.evaluation.probes.shuffled_batches import ShuffledBatches

FEATURES = np.arange(20.0)[:, None]
INDICES = np.arange(1, 12)


def orders(seed=0, num_steps=9):
    """The samples of each of three passes, of three batches of three."""
    batches = ShuffledBatches(
        {"global": FEATURES}, np.arange(20), INDICES, 3, num_steps, seed
    )
    labels = [batches[step][1] for step in range(len(batches))]
    return np.reshape(labels, (-1, 9))


def test_each_pass_has_another_order_of_the_chosen_samples():
    passes = orders()
    for labels in passes:
        assert len(set(labels)) == 9
        assert set(labels) <= set(INDICES)
    assert len({tuple(labels) for labels in passes}) == 3
    # Other samples are the remainder each time.
    assert set(passes.ravel()) == set(INDICES)


def test_the_seed_decides_the_order():
    np.testing.assert_array_equal(orders(), orders())
    assert (orders() != orders(seed=1)).any()


def test_batches():
    batches = ShuffledBatches(
        {"a": FEATURES, "b": FEATURES + 1}, np.arange(20), INDICES, 3, 5, 0
    )
    assert len(batches) == 5
    # In any order, as `fit` looks at the first one twice.
    for step in (0, 4, 0):
        features, labels = batches[step]
        assert features["a"].dtype == features["b"].dtype == "float32"
        assert labels.dtype == "int32"
        np.testing.assert_array_equal(features["a"][:, 0], labels)
        np.testing.assert_array_equal(features["b"][:, 0], labels + 1)
