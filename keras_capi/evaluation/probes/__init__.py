"""Linear and attentive probes, trained together on a grid."""

from keras_capi.evaluation.probes.probe_classification import (
    probe_classification,
)
from keras_capi.evaluation.probes.standardize import standardize

__all__ = [
    "probe_classification",
    "standardize",
]
