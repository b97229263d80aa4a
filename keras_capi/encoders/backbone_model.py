import keras

from keras_capi.fitting.guarded_model import GuardedModel
from keras_capi.saving.quantization import serialize_dtype


class BackboneModel(GuardedModel):
    """A model around a backbone, which its config holds in serialised form."""

    def get_config(self):
        return {**super().get_config(), "dtype": serialize_dtype(self)}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        backbone = config["backbone"]
        if "trainable_parts" in config and isinstance(backbone, dict):
            # It says so of the backbone too, which is to be as it was when the
            # model was made.
            arguments = {**backbone["config"], "trainable": True}
            arguments.pop("trainable_parts", None)
            config["backbone"] = {**backbone, "config": arguments}
        deserialize = keras.saving.deserialize_keras_object
        return super().from_config(
            {
                name: deserialize(value) if isinstance(value, dict) else value
                for name, value in config.items()
            }
        )
