"""Settings that suit a machine and a data set, and training with them."""

from keras_capi.recipes.load_recipe import list_recipes
from keras_capi.recipes.load_recipe import load_recipe
from keras_capi.recipes.make_model import make_model
from keras_capi.recipes.pretrain import pretrain
from keras_capi.recipes.propose_settings import propose_settings

__all__ = [
    "list_recipes",
    "load_recipe",
    "make_model",
    "pretrain",
    "propose_settings",
]
