"""Settings that suit a machine and a data set."""

from keras_capi.recipes.propose_settings import propose_settings
