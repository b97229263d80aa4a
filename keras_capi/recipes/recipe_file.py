"""Reading and writing the YAML files of recipes."""

import functools
import re

from keras_capi.optional_imports import import_optional

# A list of 100 000 files has less.
MAX_BYTES = 10_000_000
# Floats such as 1e-3, which YAML 1.1, and so PyYAML, takes for text.
FLOAT = re.compile(r"[-+]?(?:\.\d+|\d+\.?\d*)(?:[eE][-+]?\d+)$")
FLOAT_TAG, TEXT_TAG = "tag:yaml.org,2002:float", "tag:yaml.org,2002:str"
NULL_TAG = "tag:yaml.org,2002:null"
PATHS = "images"


def read_recipe_file(path):
    """Returns the dictionary that a YAML file holds.

    Floats may be written as 1e-3; quoted ones stay text. Paths under `images`
    are always text: 2024 is a folder.

    Args:
        path: `pathlib.Path`.

    Raises:
        ValueError: If the file is not YAML of sections, is larger than 10 MB,
            has aliases, which can expand to any amount of data, or has a name
            twice.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(
            f"A recipe must be smaller than {MAX_BYTES:,} bytes. "
            f"Received: {path}"
        )
    settings = _parse(path.read_bytes(), path)
    if not isinstance(settings, dict):
        raise ValueError(f"A recipe must have sections. Received: {path}")
    return settings


def read_setting(name, text):
    """Returns the value in an override such as `data.scale=[0.3, 1]`.

    Args:
        name: String before the `=`.
        text: String after it.
    """
    if name == PATHS and not text.lstrip().startswith("["):
        return text
    # Another name may mean something else in YAML, such as a comment.
    key = PATHS if name == PATHS else "value"
    return _parse(f"{key}: {text}".encode(), f"{name}={text}")[key]


def write_recipe_file(path, settings, heading):
    """Writes settings so that `read_recipe_file` returns the same.

    Args:
        path: `pathlib.Path`.
        settings: Dictionary of plain values.
        heading: String. Comment lines at the beginning.

    Raises:
        ValueError: If `read_recipe_file` would refuse the file for its size.
    """
    yaml = import_optional("yaml", extra="cli")
    text = yaml.dump(settings, Dumper=_classes()[1], sort_keys=False)
    data = (heading + text).encode()
    if len(data) > MAX_BYTES:
        raise ValueError(
            f"A recipe must be smaller than {MAX_BYTES:,} bytes: instead of "
            f"files, list their folders. Received: {len(data):,} bytes"
        )
    path.write_bytes(data)


def _parse(data, origin):
    yaml = import_optional("yaml", extra="cli")
    try:
        loader = _classes()[0](data)
        try:
            root = loader.get_single_node()
            if isinstance(root, yaml.MappingNode):
                for key, node in root.value:
                    if key.value == PATHS:
                        _keep_text(node, yaml)
            return None if root is None else loader.construct_document(root)
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"A recipe must be a YAML file of sections. Received: {origin} "
            f"({reason})"
        ) from error


def _keep_text(node, yaml):
    is_list = isinstance(node, yaml.SequenceNode)
    for each in node.value if is_list else [node]:
        if isinstance(each, yaml.ScalarNode) and each.tag != NULL_TAG:
            each.tag = TEXT_TAG


@functools.cache
def _classes():
    """Returns the loader and the dumper of recipes."""
    yaml = import_optional("yaml", extra="cli")

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent, index):
            if self.check_event(yaml.AliasEvent):
                mark = self.peek_event().start_mark
                raise yaml.composer.ComposerError(
                    None, None, "aliases are not taken", mark
                )
            return super().compose_node(parent, index)

        def construct_mapping(self, node, deep=False):
            names = set()
            for key, _ in node.value:
                if key.value in names:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"two of {key.value}", key.start_mark
                    )
                if isinstance(key.value, str):
                    names.add(key.value)
            return super().construct_mapping(node, deep)

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data):
            return True

    for each in (Loader, Dumper):
        each.add_implicit_resolver(FLOAT_TAG, FLOAT, list("-+.0123456789"))
    return Loader, Dumper
