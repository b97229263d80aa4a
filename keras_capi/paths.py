"""Paths and names as people write them, and where one may write."""

import os
import pathlib

PATH_TYPES = (str, os.PathLike)


def as_path(path, name="path"):
    """Returns a path as a `pathlib.Path`, with `~` expanded.

    Args:
        path: String or path.
        name: String. What an error calls the argument. Defaults to `"path"`.

    Raises:
        TypeError: If it is something else.
        ValueError: If it is empty, which would stand for the current folder.
    """
    if not isinstance(path, PATH_TYPES):
        raise TypeError(
            f"`{name}` must be a path, a string or a `pathlib.Path`. "
            f"Received: {name}={path!r}"
        )
    path = os.fsdecode(path)
    if not path:
        raise ValueError(f"`{name}` must not be empty. Received: {name}=''")
    # Unlike `pathlib`, leaves a file `~name` alone if there is no such user.
    return pathlib.Path(os.path.expanduser(path))


def cache_folder():
    """Returns the folder of what can be fetched or computed again."""
    # Shells leave the `~` of a quoted value to who reads it.
    home = os.environ.get("KERAS_HOME") or "~/.keras"
    return as_path(home, "KERAS_HOME") / "keras_capi"


def printable(name):
    """Returns a name that can be written as UTF-8, to a file or a terminal.

    File names are bytes on most systems. In Python's strings, bytes that are
    not UTF-8 are lone surrogates, which cannot be written; they become escapes
    like `\\udcff`.
    """
    name = str(name).encode("utf-8", "backslashreplace").decode("utf-8")
    return name.replace("\0", "\\x00")


def check_output(name, path, is_folder=False):
    """Raises a `ValueError` unless a file or folder can be written.

    To be called before the work whose results it is for.

    Args:
        name: String. The argument's name.
        path: `pathlib.Path`.
        is_folder: Boolean. Whether it is to be a folder. It and those above it
            may be missing.
    """
    if path.exists() and path.is_dir() != is_folder:
        expected, found = (
            ("folder", "file") if is_folder else ("file", "folder")
        )
        raise ValueError(
            f"`{name}` must be a {expected} to write. Received: "
            f"{name}={path}, a {found}"
        )
    existing = next(x for x in (path, *path.absolute().parents) if x.exists())
    if existing != path and not existing.is_dir():
        raise ValueError(
            f"`{name}` must be in a folder. Received: {name}={path}, and "
            f"{existing} is a file"
        )
    if not os.access(existing, os.W_OK):
        raise ValueError(
            f"`{name}` must be where one may write. Received: {name}={path}, "
            f"without the right to write to {existing}"
        )
