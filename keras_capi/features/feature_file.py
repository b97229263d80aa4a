"""Writes features to a file, batch by batch."""

import json
import os
import secrets
import shutil

import h5py
import numpy as np

from keras_capi.features.careful_file import CarefulFile
from keras_capi.paths import as_path
from keras_capi.paths import printable


def open_feature_file(path, features, attributes, count):
    """Returns a writer for a file name: a context manager with `append`.

    Args:
        path: String or path that ends in `.npy`, `.h5` or `.hdf5`.
        features: Tuple of the names of the features to come.
        attributes: Dictionary of what to store with them, where the format
            allows.
        count: Integer. Number of images to come, to check with the first of
            them whether the disk has room for all.

    Raises:
        ValueError: If the file name has another extension or is that of a
            folder, or if a `.npy` file is to hold several features.
    """
    path = check_feature_file(path, features)
    if path.suffix.lower() == ".npy":
        return NpyWriter(path, count)
    return HDF5Writer(path, count, attributes)


def check_feature_file(path, features):
    """Returns the path, or raises as `open_feature_file` does."""
    path = as_path(path, "output")
    suffix = path.suffix.lower()
    if suffix not in (".npy", ".h5", ".hdf5"):
        raise ValueError(
            "`output` must end in .npy, .h5 or .hdf5. "
            f"Received: output={printable(path)}"
        )
    if suffix == ".npy" and len(features) != 1:
        raise ValueError(
            "A `.npy` file holds one feature; for several use `.h5`. "
            f"Received: {printable(path)} for features={features}"
        )
    if path.is_dir():
        raise ValueError(
            "`output` must be a file, not a folder. "
            f"Received: output={printable(path)}"
        )
    return path


class Writer:
    """Writes to a temporary name first, so that no partial file remains.

    All batches must have the same shape, except for the first axis.
    """

    def __init__(self, path, count):
        self.path = path
        self.count = count
        path.parent.mkdir(parents=True, exist_ok=True)
        # Never the name of a link to another file, or of a file that another
        # process is writing.
        self.partial = path.with_name(
            f"{path.name}.{secrets.token_hex(4)}.partial"
        )
        self.file = CarefulFile(self.partial, "x+")

    def __enter__(self):
        return self

    def __exit__(self, error_type, error, traceback):
        try:
            self.finish()
            self.file.close()
            if error_type is None:
                self.file.check()
        except BaseException:
            error_type = error_type or OSError
            raise
        finally:
            if error_type is not None:
                self.partial.unlink(missing_ok=True)
        if error_type is not None:
            return
        try:
            os.replace(self.partial, self.path)
        except OSError as failure:
            failure.add_note(f"The features are in {printable(self.partial)}")
            raise

    def append(self, names, features):
        if self.count is not None:
            self._check_space(features, len(names))
            self.count = None
        self.write(names, features)
        self.file.check()

    def _check_space(self, features, count):
        size = sum(values.nbytes for values in features.values())
        size = size // count * self.count
        free = shutil.disk_usage(self.path.parent).free
        if size > free:
            raise OSError(
                f"The disk of `output` must have room for {size:,} bytes of "
                f"features. Received: output={printable(self.path)}, with "
                f"{free:,} bytes free"
            )


class HDF5Writer(Writer):
    """Writes a dataset for each feature, and one for the names."""

    def __init__(self, path, count, attributes):
        # First: an error must not leave a file.
        texts = {
            key: value
            if isinstance(value, str)
            else json.dumps(value, default=_item)
            for key, value in attributes.items()
        }
        super().__init__(path, count)
        self.hdf5 = h5py.File(self.file, "w")
        self.hdf5.attrs.update(texts)

    def write(self, names, features):
        names = [printable(name) for name in names]
        self._write("names", np.array(names, h5py.string_dtype()))
        for name, values in features.items():
            self._write(name, values)

    def _write(self, name, values):
        if name not in self.hdf5:
            self.hdf5.create_dataset(
                name, data=values, maxshape=(None, *values.shape[1:])
            )
            return
        dataset = self.hdf5[name]
        count = len(dataset)
        dataset.resize(count + len(values), axis=0)
        dataset[count:] = values

    def finish(self):
        self.hdf5.close()


def _item(value):
    """Returns a number of NumPy, which JSON does not know, as Python's."""
    return value.item()


class NpyWriter(Writer):
    """Writes one array; rewrites its header when the count is known."""

    def __init__(self, path, count):
        super().__init__(path, count)
        self.shape = self.dtype = None

    def write(self, names, features):
        (values,) = features.values()
        if self.shape is None:
            self.shape, self.dtype = (0, *values.shape[1:]), values.dtype
            self._write_header()
        self.file.write(np.ascontiguousarray(values).tobytes())
        self.shape = (self.shape[0] + len(values), *self.shape[1:])

    def _write_header(self):
        # NumPy leaves room in the header for the first axis to grow.
        description = np.lib.format.dtype_to_descr(self.dtype)
        np.lib.format.write_array_header_1_0(
            self.file,
            {
                "descr": description,
                "fortran_order": False,
                "shape": self.shape,
            },
        )

    def finish(self):
        if self.shape is not None:
            self.file.seek(0)
            self._write_header()
