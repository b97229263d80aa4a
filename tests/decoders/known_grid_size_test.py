import pytest
from helpers import make_backbone
from helpers import make_vit

from keras_capi import decoders
from keras_capi.methods import MAE


@pytest.mark.parametrize(
    "make",
    [
        decoders.MaskTokenDecoder.for_encoder,
        decoders.SelfAttentionPredictor.for_encoder,
        decoders.ConvolutionalPredictor.for_encoder,
        MAE,
    ],
)
@pytest.mark.parametrize("size", [(None, None), (16, None)])
def test_encoders_of_any_size(make, size):
    for encoder in (
        make_backbone(image_shape=(*size, 3)),
        make_vit(positions=None, image_shape=(*size, 3)),
    ):
        with pytest.raises(ValueError, match="must know the size of the image"):
            make(encoder)
