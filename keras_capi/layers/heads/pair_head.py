import keras
from keras import ops

from keras_capi.layers.blocks.dense import Dense
from keras_capi.layers.norms.batch_normalization import BatchNormalization
from keras_capi.ops.positions.neighbor_pairs import NUM_RELATIONS
from keras_capi.ops.tokens import gather_tokens
from keras_capi.validation import check_each
from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class PairHead(keras.layers.Layer):
    """Predicts where the second patch of a pair lies relative to the first.

    One layer for each patch is followed by two for the concatenated patches of
    a pair. Batch normalisation before the ReLU keeps the units of the first two
    layers from dying. It has neither scale nor offset, with which the network
    could undo it.

    Args:
        hidden_dims: Tuple of three integers: the widths of the three layers.
            Defaults to `(4096, 4096, 4096)`.
        normalize: Boolean. Whether to use batch normalisation. Without it those
            layers have biases, as the others do. Defaults to `True`.

    Call arguments:
        features: Float tensor of shape `(batch, patches, width)`.
        pairs: Integer tensor of shape `(batch, pairs, 2)`: the indices of the
            two patches.
        training: Boolean. Whether to normalise by the statistics of the batch.

    Output shape:
        `(batch, pairs, 8)`: scores of the relations of
        `keras_capi.ops.neighbor_pairs`.

    Raises:
        ValueError: If the widths are not three positive integers.

    Example:

    >>> features = keras.random.normal((2, 9, 48))
    >>> pairs = np.tile([[0, 1], [1, 0]], (2, 1, 1))
    >>> head = keras_capi.layers.PairHead((32, 32, 32))
    >>> head(features, pairs).shape  # (2, 2, 8)

    Reference:

    - [Unsupervised visual representation learning by context prediction](
      https://arxiv.org/abs/1505.05192), section 3
    """

    def __init__(
        self, hidden_dims=(4096, 4096, 4096), normalize=True, **kwargs
    ):
        # If a `keras.RematScope` recomputed it, the statistics would move
        # twice.
        with keras.RematScope(mode=None):
            super().__init__(**kwargs)
        hidden_dims = check_each(
            "hidden_dims", hidden_dims, check_positive_integer
        )
        if len(hidden_dims) != 3:
            raise ValueError(
                f"`hidden_dims` must be three widths. Received: {hidden_dims=}"
            )
        self.hidden_dims = hidden_dims
        self.normalize = normalize
        (
            self.patch_layer,
            self.pair_layer,
            self.hidden_layer,
            self.score_layer,
        ) = (
            Dense(
                width,
                use_bias=not (normalized and normalize),
                dtype=self.dtype_policy,
                name=name,
            )
            for name, width, normalized in (
                ("patch_layer", hidden_dims[0], True),
                ("pair_layer", hidden_dims[1], True),
                ("hidden_layer", hidden_dims[2], False),
                ("score_layer", NUM_RELATIONS, False),
            )
        )
        self.patch_norm, self.pair_norm = None, None
        if normalize:
            self.patch_norm, self.pair_norm = (
                BatchNormalization(
                    center=False,
                    scale=False,
                    dtype=self.dtype_policy,
                    name=name,
                )
                for name in ("patch_norm", "pair_norm")
            )

    def build(self, features_shape, pairs_shape=None):
        first, second, third = self.hidden_dims
        self.patch_layer.build((None, None, features_shape[-1]))
        self.pair_layer.build((None, None, 2 * first))
        self.hidden_layer.build((None, None, second))
        self.score_layer.build((None, None, third))
        if self.normalize:
            self.patch_norm.build((None, None, first))
            self.pair_norm.build((None, None, second))

    def call(self, features, pairs, training=None):
        def hidden(layer, norm, x):
            x = layer(x)
            return ops.relu(norm(x, training=training) if norm else x)

        patches = hidden(self.patch_layer, self.patch_norm, features)
        x = ops.concatenate(
            [gather_tokens(patches, pairs[..., i]) for i in (0, 1)], axis=-1
        )
        x = hidden(self.pair_layer, self.pair_norm, x)
        return self.score_layer(hidden(self.hidden_layer, None, x))

    def compute_output_spec(self, features, pairs, training=None):
        shape = (*pairs.shape[:-1], NUM_RELATIONS)
        return keras.KerasTensor(shape, self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dims": self.hidden_dims,
            "normalize": self.normalize,
        }
