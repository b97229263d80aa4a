import keras
import numpy as np
from keras import ops


class RandomState(keras.layers.Layer):
    """Holds a seed generator whose state is saved with the model.

    Keras saves the weights of a layer but not the state of the
    `keras.random.SeedGenerator`s that the layer owns, so that a reloaded model
    would draw other random numbers than the one that went on training. Layers
    that draw keep one `RandomState` and pass its `generator` as `seed`.

    Args:
        seed: Integer or `None`. The seed of the first draw; `None` takes a new
            one for each object. Defaults to `None`.

    Example:

    >>> random_state = keras_capi.layers.RandomState(seed=0)
    >>> numbers = keras.random.uniform((2, 3), seed=random_state.generator)
    """

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)
        self.built = True

    def save_own_variables(self, store):
        store["state"] = ops.convert_to_numpy(self.generator.state.value)

    def load_own_variables(self, store):
        # Stochastic depth may have been turned on after the file was written;
        # then it starts from its seed.
        if "state" not in store:
            return
        # The stored dtype is the writing backend's: int32, int64 or uint32.
        state = np.asarray(store["state"])
        self.generator.state.assign(state.astype(self.generator.state.dtype))

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}
