"""Writes features to a file batch by batch."""

import json
import os
import pathlib

import h5py
import numpy as np


def open_feature_file(path, features, attributes):
    """Returns the writer for a file name, a context manager with `append`.

    Args:
        path: String or path that ends in `.npy`, `.h5` or `.hdf5`.
        features: Tuple of the names of the features to come.
        attributes: Dictionary of what to note beside them, where possible.

    Raises:
        ValueError: If the file name has another ending, or a `.npy` file should
            hold several features.
    """
    path = pathlib.Path(path)
    check_feature_file(path, features)
    if path.suffix.lower() == ".npy":
        return NpyWriter(path)
    return HDF5Writer(path, attributes)


def check_feature_file(path, features):
    """Raises a `ValueError` for what `open_feature_file` does not take."""
    suffix = path.suffix.lower()
    if suffix not in (".npy", ".h5", ".hdf5"):
        raise ValueError(
            f"`output` must end in .npy, .h5 or .hdf5. Received: output={path}"
        )
    if suffix == ".npy" and len(features) != 1:
        raise ValueError(
            "A `.npy` file holds one feature; for several use `.h5`. "
            f"Received: {path} for features={features}"
        )


class Writer:
    """Writes to a temporary name first: what was interrupted is not there.

    All batches must have one shape, but for the first axis.
    """

    def __init__(self, path):
        self.path = path
        self.partial = path.with_name(path.name + ".partial")
        path.parent.mkdir(parents=True, exist_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, error_type, error, traceback):
        self.close()
        if error_type is None:
            os.replace(self.partial, self.path)
        else:
            self.partial.unlink(missing_ok=True)


class HDF5Writer(Writer):
    """A dataset for each feature, and one for the names."""

    def __init__(self, path, attributes):
        super().__init__(path)
        self.file = h5py.File(self.partial, "w")
        for key, value in attributes.items():
            if not isinstance(value, str):
                value = json.dumps(value)
            self.file.attrs[key] = value

    def append(self, names, features):
        self._append("names", np.array(names, h5py.string_dtype()))
        for name, values in features.items():
            self._append(name, values)

    def _append(self, name, values):
        if name not in self.file:
            self.file.create_dataset(
                name, data=values, maxshape=(None, *values.shape[1:])
            )
            return
        dataset = self.file[name]
        count = len(dataset)
        dataset.resize(count + len(values), axis=0)
        dataset[count:] = values

    def close(self):
        self.file.close()


class NpyWriter(Writer):
    """One array; its header is written again when the count is known."""

    def __init__(self, path):
        super().__init__(path)
        self.file = open(self.partial, "wb")
        self.shape = self.dtype = None

    def append(self, names, features):
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

    def close(self):
        if self.shape is not None:
            self.file.seek(0)
            self._write_header()
        self.file.close()
