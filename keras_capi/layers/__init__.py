"""The parts with state: one class a file."""

from keras_capi.layers.attention_pooling import AttentionPooling
from keras_capi.layers.block_masking import BlockMasking
from keras_capi.layers.drop_path import DropPath
from keras_capi.layers.feature_queue import FeatureQueue
from keras_capi.layers.imagenet_normalization import ImageNetNormalization
from keras_capi.layers.inverse_block_masking import InverseBlockMasking
from keras_capi.layers.online_clustering import OnlineClustering
from keras_capi.layers.patch_embedding import PatchEmbedding
from keras_capi.layers.patch_masking import PatchMasking
from keras_capi.layers.prototype_head import PrototypeHead
from keras_capi.layers.random_masking import RandomMasking
from keras_capi.layers.random_resized_crop import RandomResizedCrop
from keras_capi.layers.random_state import RandomState
from keras_capi.layers.register_tokens import RegisterTokens
from keras_capi.layers.rms_normalization import RMSNormalization
from keras_capi.layers.rotary_attention import RotaryAttention
from keras_capi.layers.transformer_block import TransformerBlock
