import keras
import numpy as np
from keras import ops

from keras_capi import backend
from keras_capi.layers.related_seed import SEED_SPACING
from keras_capi.ops.collectives import take_share
from keras_capi.validation import check_seed


class RandomState(keras.layers.Layer):
    """Holds a seed generator whose state is saved with the model.

    Keras saves the weights of a layer, but not the state of its
    `keras.random.SeedGenerator`s. A reloaded model would therefore draw other
    random numbers than one that had kept training. Layers that draw random
    numbers own a `RandomState` instead.

    The replicas of a distributed training step share the state. Each draws
    numbers for the global batch and uses its share, so that no two use the same
    numbers.

    Args:
        seed: Integer or `None`. Seed of the first draw. `None` picks a new one
            for each object. Defaults to `None`.

    Example:

    >>> random_state = keras_capi.layers.RandomState(seed=0)
    >>> numbers = random_state.uniform((2, 3))
    """

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        check_seed("seed", seed)
        self.seed = seed
        self.generator = backend.SeedGenerator(seed)
        self.built = True

    def uniform(self, shape, batch_axis=0):
        """Draws uniform random numbers in `[0, 1)`.

        Args:
            shape: Tuple of integers or integer scalar tensors.
            batch_axis: Integer. The axis of the samples. `None` is for numbers
                that all samples and all replicas share. Defaults to `0`.

        Returns:
            Float32 tensor of that shape.
        """
        return self._draw(keras.random.uniform, shape, batch_axis)

    def uniform_of_replica(self, shape):
        """Draws like `uniform`, but only the share of each replica.

        For draws too large to repeat those of the global batch on each replica.
        The numbers change with the number of replicas.

        Args:
            shape: Tuple of integers or integer scalar tensors.

        Returns:
            Float32 tensor of that shape.
        """
        return keras.random.uniform(
            tuple(shape), dtype="float32", seed=_OfReplica(self.generator)
        )

    def normal(self, shape, batch_axis=0):
        """Draws normal random numbers with mean 0 and standard deviation 1.

        Args:
            shape: Tuple of integers or integer scalar tensors.
            batch_axis: Integer or `None`, as for `uniform`. Defaults to `0`.

        Returns:
            Float32 tensor of that shape.
        """
        return self._draw(keras.random.normal, shape, batch_axis)

    def _draw(self, distribution, shape, batch_axis):
        shape = list(shape)
        if batch_axis is not None:
            _, num_replicas = backend.replica()
            shape[batch_axis] = shape[batch_axis] * num_replicas
        numbers = distribution(
            tuple(shape), dtype="float32", seed=self.generator
        )
        if batch_axis is None:
            return numbers
        return take_share(numbers, batch_axis)

    def save_own_variables(self, store):
        store["state"] = ops.convert_to_numpy(self.generator.state.value)

    def load_own_variables(self, store):
        # A file written before stochastic depth was turned on has no state. It
        # then starts from its seed.
        if "state" not in store:
            return
        # The stored dtype is the writing backend's: int32, int64 or uint32.
        state = np.asarray(store["state"])
        self.generator.state.assign(state.astype(self.generator.state.dtype))

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


class _OfReplica(keras.random.SeedGenerator):
    """Turns the state that all replicas share into this replica's own."""

    def __init__(self, generator):
        # The wrapped generator holds the state.
        self.generator = generator

    def next(self, ordered=True):
        state = self.generator.next(ordered)
        index, num_replicas = backend.replica()
        if num_replicas == 1:
            return state
        with backend.on_host():
            distance = ops.cast(ops.stack([index, 0]), state.dtype)
            return state + distance * SEED_SPACING
