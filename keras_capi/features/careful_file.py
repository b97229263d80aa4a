import io


class CarefulFile(io.FileIO):
    """A file that keeps its errors until it is asked for them.

    HDF5 ends the process with a segmentation fault if, on closing a file, it
    cannot write its remaining data, for example to a full disk. After an error
    this class writes nothing more, and `check` raises the error.
    """

    failure = None

    def write(self, content):
        content = memoryview(content).cast("B")
        written = 0
        while self.failure is None and written < len(content):
            # A nearly full disk may accept only a part.
            written += self._try(super().write, content[written:]) or 0
        return len(content)

    def truncate(self, size=None):
        return self._try(super().truncate, size)

    def check(self):
        """Raises the error that occurred since the file was opened, if any."""
        if self.failure is not None:
            raise self.failure

    def _try(self, function, argument):
        try:
            return function(argument)
        except OSError as error:
            self.failure = error
            return None
