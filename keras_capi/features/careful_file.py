import io


class CarefulFile(io.FileIO):
    """A file that keeps its errors to itself until it is asked.

    HDF5 ends the process with a segmentation fault if it closes a file, and
    cannot write what it still has, as on a full disk. After an error nothing
    more is written, and `check` raises it.
    """

    failure = None

    def write(self, content):
        content = memoryview(content).cast("B")
        written = 0
        while self.failure is None and written < len(content):
            # A disk that is nearly full takes a part.
            written += self._try(super().write, content[written:]) or 0
        return len(content)

    def truncate(self, size=None):
        return self._try(super().truncate, size)

    def check(self):
        """Raises what went wrong since the file was opened."""
        if self.failure is not None:
            raise self.failure

    def _try(self, function, argument):
        try:
            return function(argument)
        except OSError as error:
            self.failure = error
            return None
