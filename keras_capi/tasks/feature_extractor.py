from collections.abc import Iterable

import keras

from keras_capi.encoders.check_backbone import check_backbone
from keras_capi.encoders.encoder_model import EncoderModel
from keras_capi.tasks.read_out import RULE
from keras_capi.tasks.read_out import compute_features
from keras_capi.tasks.read_out import feature_specs
from keras_capi.tasks.read_out import read_feature_name


@keras.saving.register_keras_serializable(package="keras_capi")
class FeatureExtractor(EncoderModel):
    """Returns chosen features of a backbone, and no others.

    `keras_capi.features.extract_features` runs it. Use it directly for
    `predict` on prepared images, or for `export`.

    Args:
        backbone: `keras_capi.encoders.Encoder`.
        features: Tuple of names: `"global"`, which describes the whole image;
            `"average"`, the mean of the patch features; `"prefix"`, class token
            and registers (`"registers"` for a `CAPIBackbone`); `"feature_map"`;
            and the same as if the encoder ended after a block: `"layer_1"`, the
            feature map, `"layer_1_global"`, `"layer_1_average"`,
            `"layer_1_prefix"`, and so on. Defaults to `("global",)`.

    Call arguments:
        images: Float tensor of shape `(batch, height, width, channels)`,
            normalised; height and width divisible by the patch size, unless
            the encoder pads.

    Output shape:
        A dictionary from name to tensor: `(batch, global_dim)` for
        `"global"`, `(batch, hidden_dim)` for `"average"`,
        `(batch, num_prefix_tokens, hidden_dim)` for `"prefix"`, `(batch, rows,
        columns, hidden_dim)` for a map.

    Raises:
        ValueError: If `features` is empty or contains an unknown name.

    Example:

    >>> backbone = keras_capi.models.CAPIBackbone(
    ...     patch_size=8, num_layers=2, predictor_num_layers=1, hidden_dim=48,
    ...     num_heads=4,
    ... )
    >>> extractor = keras_capi.models.FeatureExtractor(
    ...     backbone, ("average", "layer_1")
    ... )
    >>> features = extractor.predict(np.random.rand(2, 32, 40, 3))

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 4 (evaluation)
    """

    def __init__(self, backbone, features=("global",), **kwargs):
        check_backbone(backbone)
        kwargs.setdefault("dtype", backbone.dtype_policy)
        super().__init__(**kwargs)
        self.backbone = backbone
        self.features = _as_names(features)
        self._parts = {
            name: read_feature_name(backbone, name) for name in self.features
        }
        if not self.features or None in self._parts.values():
            names = ("global", "average", backbone.prefix_name, "feature_map")
            raise ValueError(
                f"`features` must be names among {names} and {RULE} "
                f"Received: features={self.features}"
            )
        self.built = True

    def call(self, images):
        return compute_features(
            self.backbone, images, self._parts, training=False
        )

    def compute_output_spec(self, images):
        return feature_specs(self.backbone, images, self._parts)

    def get_config(self):
        return {
            **super().get_config(),
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "features": self.features,
        }


def _as_names(features):
    if isinstance(features, str) or not isinstance(features, Iterable):
        features = (features,)
    return tuple(features)
