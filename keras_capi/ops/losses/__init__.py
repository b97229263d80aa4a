"""Losses and targets of methods, one kind in each file."""

from keras_capi.ops.losses.binary_cross_entropy import binary_cross_entropy
from keras_capi.ops.losses.cross_entropy import entropy
from keras_capi.ops.losses.cross_entropy import soft_cross_entropy
from keras_capi.ops.losses.cross_entropy import soft_cross_entropy_gradient
from keras_capi.ops.losses.info_nce import contrast_views
from keras_capi.ops.losses.info_nce import info_nce
from keras_capi.ops.losses.koleo import koleo
from keras_capi.ops.losses.label_cross_entropy import label_cross_entropy
from keras_capi.ops.losses.logit_laplace import logit_laplace
from keras_capi.ops.losses.masked_mean import masked_mean
from keras_capi.ops.losses.patch_cross_entropy import patch_cross_entropy
from keras_capi.ops.losses.pixel_targets import pixel_targets
from keras_capi.ops.losses.shared_cross_entropy import shared_cross_entropy
from keras_capi.ops.losses.smooth_l1 import smooth_l1
from keras_capi.ops.losses.variance_hinge import variance_hinge
from keras_capi.ops.losses.view_cross_entropy import view_cross_entropy
from keras_capi.ops.losses.weighted_cross_entropy import weighted_cross_entropy

__all__ = [
    "binary_cross_entropy",
    "contrast_views",
    "entropy",
    "info_nce",
    "koleo",
    "label_cross_entropy",
    "logit_laplace",
    "masked_mean",
    "patch_cross_entropy",
    "pixel_targets",
    "shared_cross_entropy",
    "smooth_l1",
    "soft_cross_entropy",
    "soft_cross_entropy_gradient",
    "variance_hinge",
    "view_cross_entropy",
    "weighted_cross_entropy",
]
