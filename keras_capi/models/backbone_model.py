import keras

from keras_capi.models.guarded_model import GuardedModel


class BackboneModel(GuardedModel):
    """A model around a backbone, which its config holds in serialised form."""

    @classmethod
    def from_config(cls, config):
        deserialize = keras.saving.deserialize_keras_object
        return cls(
            **{
                name: deserialize(value) if isinstance(value, dict) else value
                for name, value in config.items()
            }
        )
