import errno
import os
import pathlib
import socket
import sys
from typing import IO

if sys.platform != "win32":
    import fcntl

# By path: the process that holds it, which its forks do not, and the open file.
_held: dict[pathlib.Path, tuple[int, IO[str]]] = {}


class DirectoryLock:
    """Reserves a directory for one process, except on Windows.

    The lock belongs to the operating system: it disappears with the process,
    however that ends, and works between machines if their file system supports
    it. Within one process it is shared.

    Args:
        directory: `pathlib.Path` of an existing directory.
    """

    def __init__(self, directory):
        self.path = directory.resolve() / "lock"

    def acquire(self):
        """Takes the lock.

        Raises:
            ValueError: If a running process has it.
        """
        if sys.platform == "win32" or self._is_held():
            return
        while True:
            file = open(self.path, "a+")
            if not self._lock(file):
                return
            # The former holder may have deleted the file that was opened.
            if self._is_at_path(file):
                break
            file.close()
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        _held[self.path] = (os.getpid(), file)

    def release(self):
        """Releases the lock, if this process has it."""
        if self._is_held():
            _, file = _held.pop(self.path)
            self.path.unlink(missing_ok=True)
            file.close()

    def _is_held(self):
        return self.path in _held and _held[self.path][0] == os.getpid()

    def _lock(self, file):
        """Returns whether the file is locked now; closes it if not."""
        try:
            # Not `flock`, as a fork of the process would inherit it.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            holder = file.read() or "another"
            file.close()
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                # The file system does not support locks.
                return False
            raise ValueError(
                "A directory must be used by only one training at a time. Wait "
                "for the other, end it, or choose another directory. Received: "
                f"{self.path.parent}, in use by {holder}"
            ) from error
        return True

    def _is_at_path(self, file):
        try:
            return os.path.samestat(os.fstat(file.fileno()), self.path.stat())
        except FileNotFoundError:
            return False
