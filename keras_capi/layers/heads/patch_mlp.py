import keras
from keras import ops

from keras_capi import backend
from keras_capi.layers.blocks.dense import Dense
from keras_capi.layers.norms.layer_normalization import LayerNormalization
from keras_capi.ops.positions.tables import sine_positions
from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class PatchMLP(keras.layers.Layer):
    """Predicts a vector for each patch by itself, with residual MLPs.

    Fixed positions are added and the width is changed. Then follow pre-norm
    MLPs with residual connections, a final norm and a linear layer. There is no
    attention, and only norms have biases. The deeper the head, the less the
    last layers of the encoder have to specialise in pixels.

    Args:
        output_dim: Integer. Width of the prediction.
        num_layers: Integer, 0 or more. Number of MLPs. 0 leaves one linear
            layer with biases, and nothing else. Defaults to `12`.
        hidden_dim: Integer. Width between the MLPs, whose hidden layers are
            four times as wide. Defaults to `2048`.

    Call arguments:
        patches: Float tensor of shape `(batch, patches, width)`, the width
            divisible by 4.
        grid_size: Tuple of two integers, rows and columns of patches.

    Output shape:
        `(batch, patches, output_dim)`.

    Example:

    >>> head = keras_capi.layers.PatchMLP(48, num_layers=2, hidden_dim=32)
    >>> patches = keras.random.normal((2, 6, 16))
    >>> head(patches, grid_size=(2, 3)).shape  # (2, 6, 48)

    Reference:

    - [AIM](https://arxiv.org/abs/2401.08541), section 3.2 (MLP heads)
    """

    def __init__(self, output_dim, num_layers=12, hidden_dim=2048, **kwargs):
        # A `keras.RematScope` is meant for the blocks, see `RotaryViT`. It
        # could not pass on the `grid_size`.
        with keras.RematScope(mode=None):
            super().__init__(**kwargs)
        check_positive_integer("output_dim", output_dim)
        check_non_negative_integer("num_layers", num_layers)
        check_positive_integer("hidden_dim", hidden_dim)
        self.output_dim = output_dim
        self.num_layers = num_layers
        self.hidden_dim = hidden_dim
        self.prediction = self._make_dense("prediction", output_dim)
        self.norms, self.hidden, self.outputs = [], [], []
        if num_layers == 0:
            return
        self.embedding = self._make_dense("embedding", hidden_dim)
        self.final_norm = self._make_norm("final_norm")
        for index in range(num_layers):
            self.norms.append(self._make_norm(f"norm_{index}"))
            self.hidden.append(
                self._make_dense(f"hidden_{index}", 4 * hidden_dim)
            )
            self.outputs.append(self._make_dense(f"output_{index}", hidden_dim))

    @classmethod
    def for_encoder(cls, encoder, num_layers=12, hidden_dim=None, **arguments):
        """Returns a head that predicts pixels, with sizes that suit an encoder.

        Args:
            encoder: `keras_capi.encoders.Encoder`.
            num_layers: Integer, 0 or more. Defaults to `12`.
            hidden_dim: Integer, or `None` for the encoder's. Defaults to
                `None`.
            **arguments: Other arguments of the constructor.
        """
        return cls(
            encoder.patch_size**2 * encoder.image_shape[-1],
            num_layers,
            encoder.hidden_dim if hidden_dim is None else hidden_dim,
            **arguments,
        )

    def _make_dense(self, name, units):
        return Dense(
            units,
            use_bias=self.num_layers == 0,
            dtype=self.dtype_policy,
            name=name,
        )

    def _make_norm(self, name):
        return LayerNormalization(dtype=self.dtype_policy, name=name)

    def build(self, patches_shape):
        if self.num_layers == 0:
            self.prediction.build(patches_shape)
            return
        shape = (None, None, self.hidden_dim)
        self.embedding.build(patches_shape)
        for norm, hidden, output in self._perceptrons():
            norm.build(shape)
            hidden.build(shape)
            output.build((None, None, 4 * self.hidden_dim))
        self.final_norm.build(shape)
        self.prediction.build(shape)

    def _perceptrons(self):
        return zip(self.norms, self.hidden, self.outputs, strict=True)

    def call(self, patches, grid_size):
        if self.num_layers == 0:
            return self.prediction(patches)
        positions = sine_positions(grid_size, patches.shape[-1])
        if patches.shape[1] not in (None, len(positions)):
            raise ValueError(
                "`grid_size` must be that of the patches. Received: "
                f"grid_size={tuple(grid_size)}, {patches.shape[1]} patches"
            )
        x = self.embedding(patches + ops.cast(positions, self.compute_dtype))
        for norm, hidden, output in self._perceptrons():
            x = x + output(backend.gelu(hidden(norm(x))))
        return self.prediction(self.final_norm(x))

    def compute_output_shape(self, patches_shape, grid_size=None):
        return (*patches_shape[:-1], self.output_dim)

    def get_config(self):
        return {
            **super().get_config(),
            "output_dim": self.output_dim,
            "num_layers": self.num_layers,
            "hidden_dim": self.hidden_dim,
        }
