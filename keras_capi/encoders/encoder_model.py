import keras

from keras_capi.fitting.guarded_model import GuardedModel
from keras_capi.saving.quantization import serialize_dtype


class EncoderModel(GuardedModel):
    """A model around an encoder, which is serialised in its config."""

    def get_config(self):
        return {**super().get_config(), "dtype": serialize_dtype(self)}

    @classmethod
    def from_config(cls, config):
        if "trainable_parts" in config:
            config = {k: _trainable(value) for k, value in config.items()}
        deserialize = keras.saving.deserialize_keras_object
        return super().from_config(
            {
                name: deserialize(value) if isinstance(value, dict) else value
                for name, value in config.items()
            }
        )


def _trainable(part):
    """Makes a serialised model trainable, as when this one was made.

    The outer model sets which of its parts train after it is made.
    """
    config = part.get("config") if isinstance(part, dict) else None
    if not isinstance(config, dict) or "trainable_parts" not in config:
        return part
    config = {k: v for k, v in config.items() if k != "trainable_parts"}
    return {**part, "config": {**config, "trainable": True}}
