"""Files of a preset: whole, and as they were written."""

import hashlib
import json
import pathlib
import shutil


def checksum(path):
    """Returns the SHA-256 of a file, as text."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksums(folder):
    """Returns the SHA-256 of each file of a folder, by name."""
    return {path.name: checksum(path) for path in sorted(folder.iterdir())}


def verify_checksum(path, metadata):
    """Raises a `ValueError` if a file is not as the preset's metadata says.

    Args:
        path: String or path.
        metadata: Dictionary. Presets from before there were checksums have
            none, and nothing is verified.
    """
    path = pathlib.Path(path)
    expected = metadata.get("sha256", {}).get(path.name)
    if expected is None:
        return
    received = checksum(path)
    if received != expected:
        raise ValueError(
            f"{path} must have the SHA-256 that metadata.json beside it names. "
            f"Received: {received[:12]}..., not {str(expected)[:12]}...: it is "
            "damaged, or was changed after it was saved. Copy it again (or, a "
            "published preset: delete its folder, to convert it again); after "
            'a change of your own remove "sha256" from metadata.json.'
        )


def check_space(folder, size):
    """Raises an `OSError` unless a disk has room for a file.

    HDF5 does not survive a disk that becomes full while it writes.

    Args:
        folder: Path.
        size: Integer, bytes.
    """
    # The file's own tables come on top.
    needed, free = size + size // 50 + 2**20, shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            f"{folder} must have {needed / 1e6:,.0f} MB of free space. "
            f"Received: {free / 1e6:,.0f} MB"
        )


def read_json(path):
    """Returns the dictionary in a JSON file, or raises a `ValueError`."""
    try:
        content = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} must be JSON. ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(
            f"{path} must hold a JSON object. Received: "
            f"{type(content).__name__}"
        )
    return content
