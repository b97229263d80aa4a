import keras
from keras import ops

from keras_capi import backend
from keras_capi.validation import is_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class Dense(keras.layers.Dense):
    """Keras's `Dense`, whose LoRA kernels can still train after loading.

    Keras saves the product of the low-rank kernels merged into the kernel. When
    it loads such a file it sets both low-rank kernels to zero, after which
    neither ever gets a gradient again. This class restarts the first one from
    random numbers, as `enable_lora` does.

    It has the name of Keras's class because class names are part of the paths
    in weight files.

    Args:
        units: Integer. Width of the output.
        **kwargs: Other arguments of `keras.layers.Dense`.
    """

    def __init__(self, units, **kwargs):
        if is_integer(units):
            # Keras refuses NumPy's integers, such as `labels.max() + 1`.
            units = int(units)
        # A `keras.RematScope` is for blocks. On TensorFlow it cannot pass on
        # whether this is training.
        with keras.RematScope(mode=None):
            super().__init__(units, **kwargs)

    def call(self, inputs, training=None):
        outputs = backend.matrix_product(inputs, self.kernel)
        if self.bias is not None:
            outputs = ops.add(outputs, self.bias)
        if self.activation is not None:
            outputs = self.activation(outputs)
        return outputs

    def load_own_variables(self, store):
        if not self.lora_enabled:
            super().load_own_variables(store)
            return
        # Keras counts the variables only of layers without LoRA.
        expected = len(self.weights) - 2
        if len(store.keys()) != expected:
            raise ValueError(
                f"`{self.name}` must get {expected} variables from a file. "
                f"Received: {len(store.keys())}"
            )
        super().load_own_variables(store)
        initializer = keras.initializers.HeUniform()
        self.lora_kernel_a.assign(
            initializer(self.lora_kernel_a.shape, self.lora_kernel_a.dtype)
        )

    def quantize(self, mode=None, type_check=True, config=None):
        # Keras refuses subclasses, because they might compute something else.
        super().quantize(mode, type_check=False, config=config)
