import keras


@keras.saving.register_keras_serializable(package="tests")
class Corners(keras.layers.Layer):
    """Two views of each image: cheaper to compile than `MultiCrop`."""

    def __init__(self, size=None, **kwargs):
        super().__init__(**kwargs)
        self.size = size
        self.built = True

    def call(self, images):
        height, width = self.size
        first = images[:, :height, :width]
        second = images[:, -height:, -width:]
        return {"global_views": keras.ops.stack([first, second], axis=1)}

    def get_config(self):
        return {**super().get_config(), "size": self.size}
