import re
from collections.abc import Iterable

import keras
from keras import ops

from keras_capi.encoders.backbone_weights import check_backbone
from keras_capi.encoders.encoder_model import EncoderModel

LAYER_PREFIX = "layer_"
NAMES = ("global", "average", "registers", "feature_map")


@keras.saving.register_keras_serializable(package="keras_capi")
class FeatureExtractor(EncoderModel):
    """Returns chosen features of a backbone, and no others.

    What `keras_capi.features.extract_features` runs; on its own it is for
    `predict` on prepared images and for `export`.

    Args:
        backbone: `keras_capi.models.CAPIBackbone`.
        features: Tuple of names: `"global"`, which describes the image best;
            `"average"`, the mean of the patch features; `"registers"`;
            `"feature_map"`; and `"layer_1"` and so on, the feature map after so
            many blocks of the encoder. Defaults to `("global",)`.

    Call arguments:
        images: Float tensor of shape `(batch, height, width, channels)`,
            normalised; height and width divisible by the patch size.

    Output shape:
        A dictionary from name to tensor, as in `CAPIBackbone`; `"average"` is
        `(batch, hidden_dim)`.

    Raises:
        ValueError: If `features` is empty or contains another name.

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
        self.features = _check_features(features)
        self.layer_numbers = tuple(
            int(name.removeprefix(LAYER_PREFIX))
            for name in self.features
            if name.startswith(LAYER_PREFIX)
        )
        if self.layer_numbers:
            backbone.encoder.check_layers(self.layer_numbers)
        self.built = True

    def call(self, images):
        outputs = self.backbone(
            images, layers=self.layer_numbers, training=False
        )
        outputs["average"] = ops.mean(outputs["feature_map"], axis=(1, 2))
        return {name: outputs[name] for name in self.features}

    def compute_output_spec(self, images):
        outputs = self.backbone.compute_output_spec(
            images, layers=self.layer_numbers
        )
        feature_map = outputs["feature_map"]
        outputs["average"] = keras.KerasTensor(
            (feature_map.shape[0], feature_map.shape[-1]), feature_map.dtype
        )
        return {name: outputs[name] for name in self.features}

    def get_config(self):
        return {
            **super().get_config(),
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "features": self.features,
        }


def _check_features(features):
    if isinstance(features, str) or not isinstance(features, Iterable):
        features = (features,)
    features = tuple(features)
    strangers = [
        name
        for name in features
        if name not in NAMES
        and not re.fullmatch(LAYER_PREFIX + "[1-9][0-9]*", str(name))
    ]
    if strangers or not features:
        raise ValueError(
            f"`features` must be names among {NAMES} and 'layer_1', 'layer_2', "
            f"... Received: features={features}"
        )
    return features
