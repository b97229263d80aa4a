"""Operations: pure functions on tensors."""

from keras_capi.ops.attach_gradients import attach_gradients
from keras_capi.ops.average_layers import average_layers
from keras_capi.ops.clustering.chunks import choose_chunk_size
from keras_capi.ops.clustering.chunks import sum_over_chunks
from keras_capi.ops.clustering.kmeans import kmeans
from keras_capi.ops.clustering.nearest_centroids import nearest_centroids
from keras_capi.ops.clustering.sinkhorn import sinkhorn_knopp
from keras_capi.ops.clustering.spherical_kmeans import spherical_kmeans
from keras_capi.ops.clustering.whitening import fit_whitening
from keras_capi.ops.colors.color_bins import color_bins
from keras_capi.ops.colors.color_codes import annealed_mean
from keras_capi.ops.colors.color_codes import encode_colors
from keras_capi.ops.colors.color_codes import rebalancing_weights
from keras_capi.ops.colors.lab import lab_to_rgb
from keras_capi.ops.colors.lab import rgb_to_lab
from keras_capi.ops.colors.nearest_colors import nearest_colors
from keras_capi.ops.feature_deviation import feature_deviation
from keras_capi.ops.images.rotate_quarters import rotate_quarters
from keras_capi.ops.images.sobel_filter import sobel_filter
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
from keras_capi.ops.masks.block_masks import block_sizes
from keras_capi.ops.masks.block_masks import sample_blocks
from keras_capi.ops.masks.block_masks import select_patches
from keras_capi.ops.masks.block_masks import split_at_random
from keras_capi.ops.masks.prefix_mask import prefix_mask
from keras_capi.ops.normalization import instance_normalize
from keras_capi.ops.normalization import l2_normalize
from keras_capi.ops.normalization import layer_normalize
from keras_capi.ops.normalization import rms_normalize
from keras_capi.ops.positions.coordinates import patch_coordinates
from keras_capi.ops.positions.coordinates import register_coordinates
from keras_capi.ops.positions.coordinates import scale_to_bounding_box
from keras_capi.ops.positions.neighbor_pairs import neighbor_pairs
from keras_capi.ops.positions.relative_tables import resample_relative_positions
from keras_capi.ops.positions.rotary import apply_rotary
from keras_capi.ops.positions.rotary import rotary_angles
from keras_capi.ops.positions.rotary import rotary_frequencies
from keras_capi.ops.positions.tables import interpolate_positions
from keras_capi.ops.positions.tables import patch_cells
from keras_capi.ops.positions.tables import relative_position_index
from keras_capi.ops.positions.tables import resample_positions
from keras_capi.ops.positions.tables import sine_positions
from keras_capi.ops.quick_gelu import quick_gelu
from keras_capi.ops.stochastic_depth import add_to_all
from keras_capi.ops.stochastic_depth import add_to_subset
from keras_capi.ops.swiglu import swiglu
from keras_capi.ops.tokens import extract_patches
from keras_capi.ops.tokens import gather_tokens
from keras_capi.ops.tokens import gather_tokens_in_range
from keras_capi.ops.tokens import join_patches
from keras_capi.ops.tokens import slice_tokens

__all__ = [
    "add_to_all",
    "add_to_subset",
    "annealed_mean",
    "apply_rotary",
    "attach_gradients",
    "average_layers",
    "binary_cross_entropy",
    "block_sizes",
    "choose_chunk_size",
    "color_bins",
    "contrast_views",
    "encode_colors",
    "entropy",
    "extract_patches",
    "feature_deviation",
    "fit_whitening",
    "gather_tokens",
    "gather_tokens_in_range",
    "info_nce",
    "instance_normalize",
    "interpolate_positions",
    "join_patches",
    "kmeans",
    "koleo",
    "l2_normalize",
    "lab_to_rgb",
    "label_cross_entropy",
    "layer_normalize",
    "logit_laplace",
    "masked_mean",
    "nearest_centroids",
    "nearest_colors",
    "neighbor_pairs",
    "patch_cells",
    "patch_coordinates",
    "patch_cross_entropy",
    "pixel_targets",
    "prefix_mask",
    "quick_gelu",
    "rebalancing_weights",
    "register_coordinates",
    "relative_position_index",
    "resample_positions",
    "resample_relative_positions",
    "rgb_to_lab",
    "rms_normalize",
    "rotary_angles",
    "rotary_frequencies",
    "rotate_quarters",
    "sample_blocks",
    "scale_to_bounding_box",
    "select_patches",
    "shared_cross_entropy",
    "sine_positions",
    "sinkhorn_knopp",
    "slice_tokens",
    "smooth_l1",
    "sobel_filter",
    "soft_cross_entropy",
    "soft_cross_entropy_gradient",
    "spherical_kmeans",
    "split_at_random",
    "sum_over_chunks",
    "swiglu",
    "variance_hinge",
    "view_cross_entropy",
    "weighted_cross_entropy",
]
