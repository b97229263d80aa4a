import errno
import os
import pathlib
import socket
import sys
from typing import IO

if sys.platform != "win32":
    import fcntl

# By path: the process that holds it, as its forks do not, and the open file.
_held: dict[pathlib.Path, tuple[int, IO[str]]] = {}


class DirectoryLock:
    """Keeps a directory to one process, but not on Windows.

    The lock is the operating system's: it goes with the process, however that
    ends, and holds between machines where their file system does so. Within one
    process it is shared.

    Args:
        directory: `pathlib.Path` of an existing directory.
    """

    def __init__(self, directory):
        self.path = directory.resolve() / "lock"

    def acquire(self):
        """Takes the lock.

        Raises:
            ValueError: If a living process has it.
        """
        if sys.platform == "win32" or self._is_held():
            return
        while True:
            file = open(self.path, "a+")
            if not self._lock(file):
                return
            # Whoever had it may have deleted the file that was opened.
            if self._is_at_path(file):
                break
            file.close()
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        _held[self.path] = (os.getpid(), file)

    def release(self):
        """Gives the lock back, if this process has it."""
        if self._is_held():
            _, file = _held.pop(self.path)
            self.path.unlink(missing_ok=True)
            file.close()

    def _is_held(self):
        return self.path in _held and _held[self.path][0] == os.getpid()

    def _lock(self, file):
        """Returns whether the file is locked now; else closes it."""
        try:
            # Not `flock`, which a copy of the process would inherit.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            holder = file.read() or "another"
            file.close()
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                # The file system has no locks.
                return False
            raise ValueError(
                "A directory must be in use by one training at a time. Wait "
                "for the other, end it, or choose another directory. Received: "
                f"{self.path.parent}, in use by {holder}"
            ) from error
        return True

    def _is_at_path(self, file):
        try:
            return os.path.samestat(os.fstat(file.fileno()), self.path.stat())
        except FileNotFoundError:
            return False
