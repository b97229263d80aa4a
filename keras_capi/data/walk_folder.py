"""Lists the files in a folder, for all functions that read folders."""

import heapq
import os
import pathlib

# What systems and programs put next to users' files, in lower case, apart from
# hidden files and folders.
CLUTTER = frozenset(
    {
        "__macosx",
        "__pycache__",
        "@eadir",
        "@recently-snapshot",
        "@recycle",
        "@tmp",
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "lost+found",
        "system volume information",
    }
)


def is_clutter(name):
    """Returns whether a name is that of a hidden file or a system's own.

    Names of hidden files and folders start with a dot, like `._photo.jpg` and
    `.ipynb_checkpoints`; systems write others, like `__MACOSX` and `@eaDir`.
    """
    is_hidden = name.startswith(".") and name not in (".", "..")
    return is_hidden or name.lower() in CLUTTER


def walk_folder(folder, extensions):
    """Lists the files in a folder and its subfolders.

    Leaves out what `is_clutter` says. Links to folders are followed, and every
    folder is read once, so that no walk is endless: under its own path if that
    is within `folder`, otherwise under that of the first link to it.

    Args:
        folder: Path.
        extensions: Tuple of strings, such as `(".png",)`, in lower case.

    Returns:
        Tuple of the list of `pathlib.Path`s, in alphabetical order, and a
        dictionary from path to the reason why it cannot be read. Broken links
        to files are among the files.
    """
    files, problems, seen = [], {}, set()
    # Links wait until all folders are read that can be reached without them.
    folders, links = [os.fspath(folder)], []
    while folders or links:
        current = folders.pop() if folders else heapq.heappop(links)
        try:
            status = os.stat(current)
            identity = (status.st_dev, status.st_ino)
            if identity in seen:
                continue
            seen.add(identity)
            with os.scandir(current) as iterator:
                entries = list(iterator)
        except OSError as error:
            problems[current] = error.strerror
            continue
        for entry in entries:
            if is_clutter(entry.name):
                continue
            extension = os.path.splitext(entry.name)[1].lower()
            kind = _kind(entry)
            if kind == "folder":
                folders.append(entry.path)
            elif kind == "link to a folder":
                heapq.heappush(links, entry.path)
            elif kind and extension in extensions:
                files.append(entry.path)
            elif kind == "broken link" and not extension:
                # For example to a disk that is not mounted.
                problems[entry.path] = "a link to nothing"
    return sorted(map(pathlib.Path, files)), problems


def _kind(entry):
    """Returns the kind of an entry; `None` for pipes, which would block."""
    try:
        if entry.is_dir():
            return "link to a folder" if entry.is_symlink() else "folder"
        if entry.is_file():
            return "file"
    except OSError:
        # A link to itself, or into a folder without permission.
        pass
    return "broken link" if entry.is_symlink() else None
