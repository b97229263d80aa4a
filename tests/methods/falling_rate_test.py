"""Learning rates of schedules that end at a published rate."""

import pytest
from helpers import make_vit

from keras_capi.methods import DINO
from keras_capi.methods import IJEPA
from keras_capi.methods import Data2Vec
from keras_capi.optimizers import WarmupCosine


@pytest.mark.parametrize(
    "method, last", [(DINO, 1e-6), (IJEPA, 1e-6), (Data2Vec, 1e-5)]
)
def test_a_rate_does_not_rise_to_the_last(method, last):
    model = method(make_vit())
    with pytest.raises(
        ValueError, match=f"not be below {last}.*Received: learning_rate=1e-07"
    ):
        model.published_optimizer(80, batch_size=4, learning_rate=1e-7)
    with pytest.raises(ValueError, match="`learning_rate` must be a positive"):
        model.published_optimizer(80, batch_size=4, learning_rate=0.0)
    with pytest.raises(ValueError, match="`learning_rate` must be a positive"):
        model.published_optimizer(80, batch_size=4, learning_rate="1e-3")
    # It may be as low, and a schedule anything.
    model.published_optimizer(80, batch_size=4, learning_rate=last)
    schedule = WarmupCosine(1e-7, 80, final_value=1e-6)
    model.published_optimizer(80, batch_size=4, learning_rate=schedule)
