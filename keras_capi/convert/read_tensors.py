"""Reads the tensors in files written by `torch.save`."""

import pickletools
import re
import zipfile
from collections import OrderedDict
from collections.abc import Mapping

from keras_capi.convert.pickled_module import MODULES
from keras_capi.convert.pickled_module import PickledModule
from keras_capi.optional_imports import import_optional

# The classes that a dictionary of tensors needs. PyTorch itself allows more,
# such as `bytearray`, with which a few bytes can allocate all memory.
GLOBALS = re.compile(
    r"collections OrderedDict"
    r"|torch (Size|device|Tensor|[A-Z]\w*Storage|[a-z]+\d\w*|bool)"
    r"|torch\.storage UntypedStorage"
    r"|torch\.nn\.parameter Parameter"
    r"|torch\._tensor _rebuild_from_type_v2"
    r"|torch\._utils _rebuild_(tensor_v[23]|parameter)"
    r"|__builtin__ set"
)
# What a training stores besides tensors: settings, and NumPy numbers in the
# state of the optimizer. An `Ignored` takes their place.
IGNORED = re.compile(
    r"argparse Namespace|numpy (dtype|ndarray)"
    r"|numpy\._?core\.multiarray (scalar|_reconstruct)"
    r"|_codecs encode|pathlib \w*Path"
)
# Dictionaries of settings, of a separate library.
SETTINGS = "yacs.config CfgNode"
# Far deeper than any checkpoint. A dictionary that holds another twice, which
# holds a third twice and so on, would keep a reader busy forever.
MAX_DEPTH = 8
MAX_ENTRIES = 100_000


class Ignored:
    """Stands in for an object that is not a tensor, and keeps none of it."""

    def __init__(self, *arguments):
        """Takes any arguments of the object's constructor."""

    def __setstate__(self, state):
        """Takes any state of the object."""


def read_tensors(path, leave_out=()):
    """Reads all tensors of a `.pth` file, without running any code in it.

    The file must be a zip archive, as written by `torch.save` since torch 1.6.
    It has a checksum for each tensor, and all are verified.

    Args:
        path: `pathlib.Path`.
        leave_out: Names of entries to ignore. Defaults to `()`.

    Returns:
        Dictionary from key, with nested keys joined by dots, to torch tensor.
        The file is memory-mapped.
    """
    torch = import_optional("torch", extra="torch")
    stand_ins = [
        (stand_in, name.replace(" ", "."))
        for name in _check_records(path)
        if (stand_in := _stand_in(name))
    ]
    try:
        with torch.serialization.safe_globals(stand_ins):
            content = torch.load(
                path, map_location="cpu", weights_only=True, mmap=True
            )
    # Any error of torch has its cause in the file. Its own message is left out,
    # as it advises running the code in the file.
    except Exception as error:
        raise _unreadable(
            path, f"not a PyTorch checkpoint ({type(error).__name__})"
        ) from error
    if not isinstance(content, Mapping):
        raise ValueError(
            f"{path} must hold a dictionary of tensors, like the published "
            f"checkpoints. Received: {type(content).__name__}"
        )
    tensors = {}
    for key, value in _flatten(
        {k: v for k, v in content.items() if k not in leave_out}, path
    ):
        if key in tensors:
            raise ValueError(f"{path} holds two entries with the key {key!r}.")
        tensors[key] = value
    _check_tensors(torch, tensors, path)
    return tensors


def _stand_in(name):
    """Returns what replaces a class, or `None` for torch's own."""
    if name == SETTINGS:
        return OrderedDict
    if MODULES.fullmatch(name):
        return PickledModule
    return Ignored if IGNORED.fullmatch(name) else None


def _unreadable(path, reason):
    return ValueError(f"{path} cannot be read: {reason}.")


def _check_records(path):
    """Verifies a file, and returns the names of the classes it refers to."""
    names = set()
    with open(path, "rb") as file:  # What cannot be opened has its own errors.
        size = file.seek(0, 2)
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
            if (
                len({record.filename for record in records}) < len(records)
                or {record.compress_type for record in records}
                != {zipfile.ZIP_STORED}
                or sum(record.file_size for record in records) > size
            ):
                raise _unreadable(path, "not written by `torch.save`")
            for record in records:
                # Reading a record to the end verifies its checksum.
                with archive.open(record) as file:
                    while file.read(1 << 20):
                        pass
            for record in records:
                if record.filename.endswith("/data.pkl"):
                    names |= _check_globals(archive.read(record), path)
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise _unreadable(
            path,
            "not a PyTorch checkpoint, one from before torch 1.6 (write it "
            "again with `torch.save`), or damaged: copy or download it again "
            f"({error})",
        ) from error
    # A damaged archive may refer to places outside the file.
    except (OSError, RuntimeError, UnicodeError) as error:
        raise _unreadable(path, f"damaged ({error})") from error
    return names


def _check_globals(pickled, path):
    try:
        operations = [
            (code.name, argument)
            for code, argument, _ in pickletools.genops(pickled)
            if "GLOBAL" in code.name or code.name in ("INST", "EXT1")
        ]
    except Exception as error:
        raise _unreadable(
            path, f"not a PyTorch checkpoint ({type(error).__name__})"
        ) from error
    others = sorted(
        {
            str(argument)
            for name, argument in operations
            if name != "GLOBAL"
            or not (GLOBALS.fullmatch(argument) or _stand_in(argument))
        }
    )
    if others:
        raise _unreadable(
            path, f"it holds other objects than tensors: {others[:5]}"
        )
    return {argument for _, argument in operations}


def _flatten(content, path):
    """Yields the entries of nested dictionaries, with keys joined by dots."""
    count, pending = 0, [("", content, 0)]
    while pending:
        prefix, entry, depth = pending.pop()
        count += 1
        if depth > MAX_DEPTH or count > MAX_ENTRIES:
            raise ValueError(
                f"{path} must hold at most {MAX_ENTRIES:,} entries, nested at "
                f"most {MAX_DEPTH} deep. Received: more"
            )
        if isinstance(entry, Mapping):
            pending += [
                (f"{prefix}.{key}" if depth else str(key), value, depth + 1)
                for key, value in entry.items()
            ]
        else:
            yield prefix, entry


def _check_tensors(torch, tensors, path):
    strangers = sorted(k for k, v in tensors.items() if not torch.is_tensor(v))
    if strangers:
        raise ValueError(
            f"{path} must hold a dictionary of tensors, like the published "
            f"checkpoints. Received: other entries: {strangers[:20]}"
        )
    for key, value in tensors.items():
        # An expanded tensor stores one number for any count.
        if (
            value.layout != torch.strided
            or value.device.type != "cpu"
            or value.numel() * value.element_size()
            > value.untyped_storage().nbytes()
        ):
            raise ValueError(
                f"All tensors of {path} must be dense, with every number in "
                f"the file. Received: {key!r} of shape {tuple(value.shape)}"
            )
