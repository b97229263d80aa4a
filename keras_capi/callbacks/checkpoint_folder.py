import hashlib
import json
import os
import re
import shutil

from keras_capi.callbacks.directory_lock import DirectoryLock
from keras_capi.paths import as_path
from keras_capi.paths import check_output

WEIGHTS = "model.weights.h5"
STATE = "state.json"
# In the format of the command `sha256sum`.
SUMS = "SHA256SUMS"
POSITION = r"(\d{6,})-(\d{8,})"


class CheckpointFolder:
    """The checkpoints of one training on disk.

    Each is a folder, named after its epoch and batch, with the weights, the
    state, and the checksums of both. It is written under another name, flushed,
    and then renamed. Other files in the directory are left alone.

    Args:
        directory: String or path.
    """

    def __init__(self, directory):
        self.path = as_path(directory, "directory")

    def open(self):
        """Locks the directory for this process, and removes partial files.

        Raises:
            ValueError: If another running process uses it, or if it cannot be
                written.
        """
        check_output("directory", self.path, is_folder=True)
        self.path.mkdir(parents=True, exist_ok=True)
        DirectoryLock(self.path).acquire()
        for partial in self._find("partial"):
            shutil.rmtree(partial, ignore_errors=True)

    def close(self):
        """Releases the directory."""
        if self.path.is_dir():
            DirectoryLock(self.path).release()

    def checkpoints(self):
        """Returns the paths of the checkpoints, the newest last."""
        return [path for path in self._find("checkpoint") if _is_own(path)]

    def newest_intact(self):
        """Finds the newest intact checkpoint.

        Returns:
            Tuple of its path, or `None` if there are no checkpoints, and a list
            of tuples: the newer checkpoints, and what is wrong with them.

        Raises:
            ValueError: If there are checkpoints, but none is intact.
        """
        damaged = []
        for path in reversed(self.checkpoints()):
            damage = _damage(path)
            if damage is None:
                return path, damaged
            damaged.append((path, damage))
        if damaged:
            raise ValueError(
                "A checkpoint must be intact, and none is. Restore a copy, or "
                "choose another directory to start from the beginning. "
                "Received: "
                + "; ".join(f"{path}, {damage}" for path, damage in damaged)
            )
        return None, []

    def set_aside(self, path):
        """Renames a damaged checkpoint, so that it no longer counts."""
        aside = path.with_name(path.name.replace("checkpoint", "damaged"))
        shutil.rmtree(aside, ignore_errors=True)
        return path.rename(aside)

    def write(self, epoch, batch, weights, state):
        """Writes a checkpoint.

        Args:
            epoch: Integer.
            batch: Integer.
            weights: Bytes of a `.weights.h5` file.
            state: Dictionary for JSON.

        Raises:
            OSError: If that is not possible. Earlier checkpoints are kept.
        """
        target = self.target(epoch, batch)
        partial = target.with_name(target.name.replace("checkpoint", "partial"))
        state = {"epoch": epoch, "batch": batch, **state}
        contents = {WEIGHTS: weights, STATE: json.dumps(state).encode()}
        contents[SUMS] = b"".join(
            _sum_line(hashlib.sha256(content), name)
            for name, content in contents.items()
        )
        try:
            partial.mkdir()
            for name, content in contents.items():
                (partial / name).write_bytes(content)
                _flush(partial / name)
            _flush(partial)
            partial.rename(target)
            _flush(self.path)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            kept = self.checkpoints()[-1:]
            raise OSError(
                f"The checkpoint could not be written: {error}. "
                f"The last one is {kept[0] if kept else 'none'}; make room on "
                "the disk and start again."
            ) from error

    def has(self, epoch, batch):
        """Returns whether a checkpoint exists."""
        return self.target(epoch, batch) in self.checkpoints()

    def target(self, epoch, batch):
        """Returns the path of a checkpoint."""
        return self.path / f"checkpoint-{epoch:06}-{batch:08}"

    def prune(self, keep):
        """Deletes all checkpoints except for the newest `keep`."""
        for old in self.checkpoints()[:-keep]:
            # When half deleted, it must not look like a checkpoint.
            doomed = old.with_name(old.name.replace("checkpoint", "partial"))
            shutil.rmtree(old.rename(doomed), ignore_errors=True)

    def _find(self, kind):
        pattern = re.compile(f"{kind}-{POSITION}")
        found = {}
        for path in self.path.iterdir() if self.path.is_dir() else ():
            match = pattern.fullmatch(path.name)
            if match and path.is_dir() and not path.is_symlink():
                found[path] = tuple(map(int, match.groups()))
        return sorted(found, key=found.get)


def read_state(path):
    """Returns the state of a checkpoint, a dictionary."""
    return json.loads((path / STATE).read_bytes())


def _is_own(path):
    """Returns whether a folder was written as the checkpoint of its name."""
    if not any((path / name).is_file() for name in (WEIGHTS, STATE, SUMS)):
        return False
    try:
        state = read_state(path)
        position = (state["epoch"], state["batch"])
    except (OSError, ValueError, KeyError, TypeError):
        # It is damaged.
        return True
    if path.name == f"checkpoint-{position[0]:06}-{position[1]:08}":
        return True
    # An intact copy that someone renamed was not; otherwise the state is
    # damaged.
    return (path / SUMS).is_file() and _sum_damage(path, STATE) is not None


def _damage(path):
    """Returns what is wrong with a checkpoint, or `None`."""
    if not (path / SUMS).is_file():
        try:
            if "settings" not in read_state(path):
                # It was written before there were checksums.
                return None
        except (OSError, ValueError, TypeError):
            pass
    return _sum_damage(path, WEIGHTS, STATE)


def _sum_damage(path, *names):
    """Returns what is wrong with files of a checkpoint, or `None`."""
    try:
        sums = (path / SUMS).read_bytes()
        for name in names:
            with open(path / name, "rb") as file:
                line = _sum_line(hashlib.file_digest(file, "sha256"), name)
            if line not in sums:
                return f"the checksum of {name} is another"
            sums = sums.replace(line, b"")
    except OSError as error:
        return str(error)
    return f"{SUMS} has other lines" if sums and len(names) > 1 else None


def _sum_line(digest, name):
    return f"{digest.hexdigest()}  {name}\n".encode()


def _flush(path):
    """Waits until a file, or the entries of a folder, are on the disk."""
    if os.name == "nt" and path.is_dir():
        # Windows cannot open folders, and its file system journals renames.
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
