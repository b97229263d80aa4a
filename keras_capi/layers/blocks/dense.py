import keras
from keras import ops

from keras_capi import backend


@keras.saving.register_keras_serializable(package="keras_capi")
class Dense(keras.layers.Dense):
    """Keras's `Dense`, which goes on learning with LoRA after it is loaded.

    Files hold the product of the low-rank kernels as part of the kernel. When
    such a file is loaded, Keras sets both low-rank kernels to zero, and then
    neither ever gets a gradient again. Here the first one starts from random
    numbers, as `enable_lora` has it.

    It is named as Keras's because the name of the class is a part of the paths
    in files of weights.
    """

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
        # Keras counts the variables of layers without LoRA only.
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
        # Keras refuses subclasses, which might compute something else.
        super().quantize(mode, type_check=False, config=config)
