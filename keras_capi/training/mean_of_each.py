import keras
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

    def __init__(self, name="means", **kwargs):
        super().__init__(name=name, **kwargs)
        self.names = ()
        self.totals, self.weights = (
            self.add_variable((MAX_VALUES,), keras.initializers.Zeros(), name=n)
            for n in ("totals", "weights")
        )

    def update_state(self, values, weight):
        """Adds values.

        Args:
            values: Dictionary of scalar tensors.
            weight: Their weight: the number of samples.
        """
        new = tuple(name for name in values if name not in self.names)
        self.names += new
        if len(self.names) > MAX_VALUES:
            raise ValueError(
                f"A method can log at most {MAX_VALUES} values. "
                f"Received: {len(self.names)}"
            )
        weight = ops.cast(weight, self.dtype)
        zero = ops.zeros((), self.dtype)
        weights = [weight if name in values else zero for name in self.names]
        totals = [
            ops.cast(values.get(name, zero), self.dtype) * share
            for name, share in zip(self.names, weights, strict=True)
        ]
        padding = [0, MAX_VALUES - len(self.names)]
        self.totals.assign_add(ops.pad(ops.stack(totals), padding))
        self.weights.assign_add(ops.pad(ops.stack(weights), padding))

    def result(self):
        means = ops.divide_no_nan(self.totals.value, self.weights.value)
        return {name: means[i] for i, name in enumerate(self.names)}
