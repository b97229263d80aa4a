import keras

from keras_capi.models.guarded_model import GuardedModel
from keras_capi.models.quantization import serialize_dtype


class BackboneModel(GuardedModel):
    """A model around a backbone, which its config holds in serialised form."""

    def get_config(self):
        return {**super().get_config(), "dtype": serialize_dtype(self)}

    @classmethod
    def from_config(cls, config):
        deserialize = keras.saving.deserialize_keras_object
        return cls(
            **{
                name: deserialize(value) if isinstance(value, dict) else value
                for name, value in config.items()
            }
        )
