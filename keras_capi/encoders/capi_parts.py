"""The parts of CAPI's backbone that its ablations replace, by name."""

from keras_capi.decoders.cross_attention_predictor import (
    CrossAttentionPredictor,
)
from keras_capi.decoders.fused_predictor import FusedPredictor
from keras_capi.decoders.joint_predictor import JointPredictor
from keras_capi.validation import check_choice

# The first of each is CAPI's.
PREDICTORS = {
    "cross_attention": CrossAttentionPredictor,
    "self_attention": JointPredictor,
    "fused": FusedPredictor,
}
POSITIONS = ("rotary", "learned")


def find_predictor(name):
    """Returns the class of a predictor.

    Args:
        name: String, one of `PREDICTORS`.
    """
    check_choice("predictor", name, PREDICTORS)
    return PREDICTORS[name]


def find_position_grid(positions, grid_size):
    """Returns the `position_grid` of `RotaryViT`.

    Args:
        positions: String, one of `POSITIONS`.
        grid_size: Tuple. Rows and columns of patches, each possibly `None`.
    """
    check_choice("positions", positions, POSITIONS)
    if positions == "rotary":
        return None
    if None in grid_size:
        raise ValueError(
            "`image_shape` must have a height and a width for learnt "
            f"positions. Received: positions={positions!r}, and no size"
        )
    return grid_size
