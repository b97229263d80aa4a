import keras
import numpy as np
from keras import ops

MAX_VALUES = 64


class MeanOfEach(keras.metrics.Metric):
    """Means of named values, with names that need not be known beforehand.

    It lets a method log whatever `compute_losses` returns, without declaring
    the names. They come up only while a step is compiled, when it is too late
    to make variables, so there is room for 64 of them.

    Args:
        name: String. Defaults to `"means"`.
    """

    def __init__(self, name="means"):
        # Half precision cannot hold the sums of an epoch.
        super().__init__(name=name, dtype="float32")
        self.names = ()
        # Those of training and evaluation may differ.
        self._names_of = {}
        self._training = None
        self.totals, self.weights = (
            self.add_variable(
                (MAX_VALUES,),
                keras.initializers.Zeros(),
                dtype=self.dtype,
                name=name,
            )
            for name in ("totals", "weights")
        )

    def update_state(self, values, weight, training=None):
        """Adds values.

        Args:
            values: Dictionary of scalar tensors.
            weight: Their weight: the number of samples.
            training: Boolean or `None`. Whether they are of a training step.
                The result has only names that such steps have, or others, as
                the last one. Defaults to `None`.
        """
        new = tuple(name for name in values if name not in self.names)
        self.names += new
        if len(self.names) > MAX_VALUES:
            raise ValueError(
                f"A method can log at most {MAX_VALUES} values. "
                f"Received: {len(self.names)}"
            )
        known = self._names_of.get(training, frozenset())
        self._names_of[training] = known.union(values)
        self._training = training
        count = len(self.names)
        is_given = np.zeros(MAX_VALUES, "float32")
        is_given[:count] = [name in values for name in self.names]
        weights = ops.cast(weight, self.dtype) * ops.convert_to_tensor(
            is_given, self.dtype
        )
        zero = ops.zeros((), self.dtype)
        stacked = ops.stack(
            [ops.cast(values.get(n, zero), self.dtype) for n in self.names]
        )
        # Keras's pad would take torch longer than all of this.
        rest = ops.zeros((MAX_VALUES - count,), self.dtype)
        totals = ops.concatenate([stacked, rest]) * weights
        self.totals.assign_add(totals)
        self.weights.assign_add(weights)

    def result(self):
        means = ops.divide_no_nan(self.totals.value, self.weights.value)
        given = self._names_of.get(self._training, ())
        return {n: means[i] for i, n in enumerate(self.names) if n in given}
