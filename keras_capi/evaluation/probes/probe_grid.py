import keras
import numpy as np
from keras import ops

from keras_capi.evaluation.probes.attention_pooling_grid import (
    AttentionPoolingGrid,
)
from keras_capi.evaluation.probes.linear_probe_grid import LinearProbeGrid


class ProbeGrid(keras.Model):
    """A model of probes: for each of several features a whole grid.

    The first axis of all weights is that of the probes, so that groups of
    `keras_capi.optimizers.AdamW` can have multipliers along it. The loss is the
    *sum* of the mean cross-entropies of the probes, so that each has the
    gradient that it would have alone. All probes of a feature start from the
    same weights, and differ only in their hyper-parameters.

    Args:
        feature_shapes: Dictionary from the name of a feature to its shape
            without the batch: `(width,)` for linear probes, `(tokens, width)`
            for attentive ones.
        num_classes: Integer.
        num_probes: Integer. Number of probes for each feature.
        seed: Integer. Seed of the initial weights.

    Call arguments:
        features: Dictionary of float tensors.

    Returns:
        Dictionary of logits of shape `(batch, num_probes, num_classes)`.

    Example:

    >>> grid = ProbeGrid({"global": (64,), "patches": (16, 64)}, 10, 30, seed=0)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 4 (evaluation)
    """

    def __init__(self, feature_shapes, num_classes, num_probes, seed):
        # The published probes are float32, whatever the precision of the
        # backbone.
        super().__init__(dtype="float32")
        # The authors truncate at the values -2 and 2, not at two standard
        # deviations.
        draw = keras.initializers.RandomNormal(
            stddev=0.02, seed=keras.random.SeedGenerator(int(seed))
        )

        def initializer(shape, dtype):
            return ops.stack([draw(shape[1:], dtype)] * num_probes)

        self.probes = {}
        for name, shape in feature_shapes.items():
            classifier = LinearProbeGrid(
                num_probes, num_classes, initializer, dtype="float32"
            )
            if len(shape) == 1:
                self.probes[name] = [classifier]
                classifier.build((None, *shape))
                continue
            pooling = AttentionPoolingGrid(
                num_probes, initializer, dtype="float32"
            )
            pooling.build((None, *shape))
            classifier.build((None, num_probes, shape[-1]))
            self.probes[name] = [pooling, classifier]
        self.built = True

    def call(self, features):
        logits = {}
        for name, layers in self.probes.items():
            output = features[name]
            for layer in layers:
                output = layer(output)
            logits[name] = output
        return logits

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        loss = 0.0
        for logits in y_pred.values():
            labels = ops.broadcast_to(y[:, None], ops.shape(logits)[:-1])
            cross_entropy = ops.sparse_categorical_crossentropy(
                labels, logits, from_logits=True
            )
            loss += ops.sum(ops.mean(cross_entropy, axis=0))
        return loss

    def predict_classes(self, features, indices, batch_size):
        """Returns the class that each probe predicts for each sample.

        Args:
            features: Dictionary of arrays whose first axis is that of the
                samples.
            indices: Integer array. Which samples to use.
            batch_size: Integer.

        Returns:
            Dictionary of integer arrays of shape `(num_probes, len(indices))`.
        """
        classes = {name: [] for name in self.probes}
        for start in range(0, len(indices), batch_size):
            chosen = indices[start : start + batch_size]
            # A smaller batch would be compiled again.
            padded = np.pad(chosen, (0, batch_size - len(chosen)), mode="edge")
            logits = self.predict_on_batch(
                {
                    name: np.asarray(features[name][padded], "float32")
                    for name in self.probes
                }
            )
            for name, values in logits.items():
                best = np.argmax(values[: len(chosen)], axis=-1)
                classes[name].append(best.T)
        return {
            name: np.concatenate(parts, axis=-1)
            for name, parts in classes.items()
        }
