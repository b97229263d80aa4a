import keras

from keras_capi.models.stored_parts import check_stored_parts


class BaseModel(keras.Model):
    """Base of all models of this package.

    Refuses weights of more layers than it has, wherever they come from:
    `load_weights`, `keras.saving.load_model`, a preset or a checkpoint.
    """

    def load_own_variables(self, store):
        check_stored_parts(self, store)
        super().load_own_variables(store)
