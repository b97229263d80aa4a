"""What is known of a training: values, and of which epochs they are."""

import collections
import csv

from keras_capi.paths import PATH_TYPES
from keras_capi.paths import as_path

VALIDATION = "val_"
# Two dictionaries, from names to lists: of values, and of the epochs that these
# are of, counted from 1. Its names are those of what `fit` returns.
Curves = collections.namedtuple("Curves", ("history", "epochs"))
# In a file, where a callback did not run or a row was cut off.
NO_VALUES = ("", "NA", None)


def read_history(history):
    """Returns the curves of a training.

    Args:
        history: What `fit` returned, its dictionary, the path of a file that
            `keras.callbacks.CSVLogger` wrote, or what this function returned.

    Returns:
        `Curves`.

    Raises:
        ValueError: If the file is damaged, or if nobody knows of which epochs
            the values are.
    """
    if isinstance(history, PATH_TYPES):
        return _read_file(as_path(history, "history"))
    curves = getattr(history, "history", history)
    if hasattr(history, "epochs"):
        return Curves(curves, history.epochs)
    for name, values in curves.items():
        trained = curves.get(name.removeprefix(VALIDATION), values)
        if 0 < len(values) < len(trained):
            raise ValueError(
                "A dictionary must have a value for each epoch. With "
                "`validation_freq` pass what `fit` returned, or the file of a "
                "`keras.callbacks.CSVLogger`, which know the epochs. Received: "
                f"{len(values)} values of {name!r}, for {len(trained)} epochs"
            )
    epochs = {k: range(1, len(x) + 1) for k, x in curves.items()}
    return Curves(curves, epochs)


def _read_file(path):
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    names = rows[0] if rows else ()
    curves, epochs = {}, {}
    try:
        for name in names:
            # Counted, as another training may have added to the file.
            found = [
                (epoch, float(row[name]))
                for epoch, row in enumerate(rows, 1 + _first_epoch(rows))
                if row[name] not in NO_VALUES
            ]
            epochs[name] = [epoch for epoch, _ in found]
            curves[name] = [value for _, value in found]
    # A row with more values than names has a list of them.
    except (TypeError, ValueError) as error:
        raise ValueError(
            "`history` must be a file that `keras.callbacks.CSVLogger` wrote, "
            f"undamaged. Received: history={path} ({error})"
        ) from error
    return Curves(curves, epochs)


def _first_epoch(rows):
    """Returns the number of the first row's epoch, above 0 after a resumption.

    Keras's files count from 0.
    """
    return int(rows[0].get("epoch", 0))
