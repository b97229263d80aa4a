import pathlib
import tarfile
from collections.abc import Sequence

from keras_capi.data.image_files import EXTENSIONS
from keras_capi.data.walk_folder import is_clutter
from keras_capi.paths import PATH_TYPES
from keras_capi.paths import as_path


class TarShards(Sequence):
    """Random access to the images in tar files, such as WebDataset's.

    Reads the tables of contents once, and each image when it is asked for.
    Unlike in a stream, shuffling covers the whole data set, and resuming is
    exact. Shards must be uncompressed, and in storage that can seek.

    Args:
        paths: Path, or list of paths, of tar files. A folder stands for its
            `.tar` files, in alphabetical order.

    Raises:
        ValueError: If there are no tar files, or no images in them, or if a
            file is not a tar file or is truncated.

    Example:

    >>> shards = keras_capi.data.TarShards("shards")
    >>> encoded = shards[0]  # the bytes of a JPEG file, for example
    >>> dataset = keras_capi.data.AugmentedImages(shards, image_size=224)
    """

    def __init__(self, paths):
        if isinstance(paths, PATH_TYPES):
            paths = [paths]
        paths = [as_path(path, "paths") for path in paths]
        self._members = []
        for path in _list_shards(paths):
            try:
                self._members += _list_images(path)
            except tarfile.TarError as error:
                raise ValueError(
                    "A shard must be a tar file, not compressed and complete. "
                    f"Received: {path} ({error})"
                ) from error
        if not self._members:
            raise ValueError(
                f"Shards must contain images ({', '.join(EXTENSIONS)}). "
                f"Received: paths={[str(path) for path in paths]}"
            )

    def __len__(self):
        return len(self._members)

    def __getitem__(self, index):
        path, _, offset, size = self._members[index]
        with open(path, "rb") as shard:
            shard.seek(offset)
            return shard.read(size)

    def name(self, index):
        """Returns the location of an image, as `shard.tar/folder/image.jpg`."""
        path, name, _, _ = self._members[index]
        return f"{path}/{name}"


def _list_images(path):
    # With "r:" compressed files raise an error instead of being read slowly.
    with tarfile.open(path, "r:") as shard:
        return [
            (path, member.name, member.offset_data, member.size)
            for member in shard
            if member.isfile()
            and pathlib.Path(member.name).suffix.lower() in EXTENSIONS
            and not any(map(is_clutter, member.name.split("/")))
        ]


def _list_shards(paths):
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = sorted(
            file
            for file in path.iterdir()
            if file.suffix.lower() == ".tar" and not is_clutter(file.name)
        )
        if not found:
            raise ValueError(
                f"A folder of shards must have `.tar` files. Received: {path}"
            )
        yield from found
