"""Pictures embedded in a page, which then needs no other files."""

import base64
import io

import numpy as np

from keras_capi.optional_imports import import_optional

# Stands for the colour of the surrounding text, which lines and letters take.
TEXT_COLOR = "#010203"


def to_data_uri(picture):
    """Turns an array into a data URI of a PNG.

    Args:
        picture: Array of shape `(height, width, 3)`, uint8 or floats in [0, 1].
    """
    image = import_optional("PIL.Image", extra="report")
    file = io.BytesIO()
    image.fromarray(_to_bytes(picture)).save(file, "png", optimize=True)
    encoded = base64.b64encode(file.getvalue()).decode()
    return f"data:image/png;base64,{encoded}"


def color_maps(maps):
    """Colours maps by their values, all on one scale from 0.

    Args:
        maps: Sequence of arrays of shape `(rows, columns)`.

    Returns:
        List of uint8 arrays of shape `(rows, columns, 3)`.
    """
    matplotlib = import_optional("matplotlib", extra="report")
    largest = max(float(np.max(values)) for values in maps)
    colors = matplotlib.colormaps["viridis"]
    return [
        colors(np.asarray(values) / max(largest, 1e-12), bytes=True)[..., :3]
        for values in maps
    ]


def join_patches(patches, margin, gap=4):
    """Joins cut-outs of pictures into a strip, with their centres framed.

    Args:
        patches: Array of shape `(count, size, size, 3)`, uint8 or floats in
            [0, 1].
        margin: Integer. Pixels around the centre of each.
        gap: Integer. Pixels between two cut-outs. Defaults to `4`.

    Returns:
        uint8 array of shape `(size, width, 4)`, transparent in the gaps.
    """
    strip = []
    for patch in patches:
        patch = _to_bytes(patch).copy()
        size = len(patch) - 2 * margin
        first, last = max(margin - 1, 0), min(margin + size, len(patch) - 1)
        patch[[first, last], first : last + 1] = 255
        patch[first : last + 1, [first, last]] = 255
        patch = np.pad(patch, ((0, 0), (0, 0), (0, 1)), constant_values=255)
        strip += [patch, np.zeros((len(patch), gap, 4), "uint8")]
    return np.concatenate(strip[:-1], axis=1)


def to_svg(figure):
    """Returns a figure as SVG, in the colours of the page around it."""
    file = io.StringIO()
    matplotlib = import_optional("matplotlib", extra="report")
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.savefig(file, format="svg", transparent=True)
    svg = file.getvalue()
    return svg[svg.index("<svg") :].replace(TEXT_COLOR, "currentColor")


def _to_bytes(picture):
    picture = np.asarray(picture)
    if picture.dtype != np.uint8:
        picture = np.clip(np.round(picture * 255.0), 0, 255).astype("uint8")
    return picture
