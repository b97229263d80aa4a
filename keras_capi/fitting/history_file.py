import os
import pathlib

import keras

from keras_capi import backend


def drop_repeated_rows(callbacks, epoch, is_new):
    """Deletes the last rows of history files that will be written again.

    A row is written before the checkpoint that follows it. If the training ends
    between the two, or that checkpoint is damaged, the row would appear twice.

    Args:
        callbacks: List of callbacks; the files are those of
            `keras.callbacks.CSVLogger` with `append`.
        epoch: Integer. The next epoch.
        is_new: Boolean. Whether there was no checkpoint. Then at most the first
            row of this training is there: any rows before it belong to others.
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
        # Only half of it was written.
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
