import keras

from keras_capi.saving.stored_parts import check_stored_parts
from keras_capi.saving.trainable_parts import set_trainable_parts
from keras_capi.saving.trainable_parts import trainable_parts


class BaseModel(keras.Model):
    """Base of all models of this package.

    Its config says which of its parts train. Refuses weights of more layers
    than it has, wherever they come from: `load_weights`,
    `keras.saving.load_model`, a preset or a checkpoint.
    """

    def get_config(self):
        return {
            **super().get_config(),
            "trainable_parts": trainable_parts(self),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        parts = config.pop("trainable_parts", None)
        model = super().from_config(config)
        if parts is not None:
            set_trainable_parts(model, parts)
        return model

    def load_own_variables(self, store):
        check_stored_parts(self, store)
        super().load_own_variables(store)
