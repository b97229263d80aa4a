import os
import pathlib

import keras

from keras_capi import backend


def drop_repeated_rows(callbacks, epoch, is_new):
    """Deletes the last rows of history files that are about to come again.

    A row is written before the checkpoint after it: whatever ends a training
    between the two, or damages that checkpoint, would make it come twice.

    Args:
        callbacks: List of callbacks. The files are those of
            `keras.callbacks.CSVLogger` with `append`.
        epoch: Integer. The epoch that comes next.
        is_new: Boolean. Whether there was no checkpoint. Then there can be no
            more than the first row: what is before is of other trainings.
    """
    if backend.process_index() != 0:
        return
    for logger in callbacks:
        if not isinstance(logger, keras.callbacks.CSVLogger):
            continue
        path = pathlib.Path(logger.filename)
        if logger.append and path.is_file():
            size = _size_before(path, logger.sep, epoch, is_new)
            if size < path.stat().st_size:
                os.truncate(path, size)


def _size_before(path, separator, epoch, is_new):
    lines = path.read_bytes().splitlines(keepends=True)
    if lines and not lines[-1].endswith(b"\n"):
        # Half-written.
        lines.pop()
    following = None
    while len(lines) > 1:
        number = lines[-1].split(separator.encode())[0]
        number = int(number) if number.isdigit() else -1
        is_next = following is None or number == following - 1
        if number < epoch or not is_next or (is_new and number > 0):
            break
        following = number
        lines.pop()
    return sum(map(len, lines))
