import keras

from keras_capi.backend.host import on_host


class SeedGenerator(keras.random.SeedGenerator):
    """Keras's, with its state on the host on torch.

    Each draw reads the state. Keras keeps it on the GPU.
    """

    def __init__(self, seed=None):
        # Keras refuses NumPy's integers.
        seed = None if seed is None else int(seed)
        with on_host():
            super().__init__(seed)

    def next(self, ordered=True):
        with on_host():
            return super().next(ordered)
