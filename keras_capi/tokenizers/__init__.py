"""Frozen networks that turn patches into words, for methods to predict."""

from keras_capi.tokenizers.dalle_decoder import DALLEDecoder
from keras_capi.tokenizers.dalle_tokenizer import DALLETokenizer
from keras_capi.tokenizers.tokenizer import Tokenizer

__all__ = ["DALLEDecoder", "DALLETokenizer", "Tokenizer"]
