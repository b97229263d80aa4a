"""How a step grows with the batch, the clusters and the patches of an image.

    python benchmarks/growth.py clusters --authors CAPI growth.jsonl
    python benchmarks/growth.py draw growth.jsonl --picture growth.png

Runs a pair (see `pair.py`, whose options it takes) for each value of the axis
and appends its figures to a file. What the file has already is left out, so a
long curve may be measured in parts. `draw` draws all that a file has: one panel
for each axis, the milliseconds of ours and of theirs.
"""

import argparse
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

# ruff: noqa: E402
from benchmarks.pair import pair_parser
from benchmarks.pair import pairs
from benchmarks.pairs.records import read_records
from benchmarks.speed import SIZES
from benchmarks.speed import count_patches

# The option that an axis changes, and its values.
AXES = {
    "batch": ("batch_size", (4, 8, 16, 32, 64)),
    "clusters": ("clusters", (1024, 4096, 16384, 65536)),
    "patches": ("image_size", (96, 160, 224, 320, 448)),
}
TITLES = {
    "batch": "images in a batch",
    "clusters": "clusters",
    "patches": "patches of an image",
}
COLORS = {
    "theirs": "#8a8a8a",
    "jax": "#3b4a6b",
    "tensorflow": "#f2a14e",
    "torch": "#d1495b",
}


def measure(options):
    """Runs the pairs that the file does not have."""
    option, values = AXES[options.axis]
    path = pathlib.Path(options.file)
    known = {
        (record["axis"], record[option], record["backend"])
        for record in (read_records(path) if path.exists() else ())
        if record["axis"] == options.axis
    }
    for value in options.values or values:
        backends = [
            backend
            for backend in options.backend
            if (options.axis, value, backend) not in known
        ]
        if not backends:
            continue
        settings = vars(options) | {option: value, "backend": backends}
        for name in ("file", "picture", "values"):
            del settings[name]
        results = pairs(argparse.Namespace(**settings))
        with open(path, "a") as file:
            for result in results:
                print(json.dumps(result), file=file)
        for result in results:
            print(value, result["backend"], *result["ratio"], flush=True)


def curves(records):
    """Returns dictionaries: of each axis, of each line, from value to ms."""
    lines = {}
    for record in records:
        axis = record["axis"]
        value = record[AXES[axis][0]]
        if axis == "patches":
            value = count_patches(value, SIZES[record["size"]][-1])
        axis_lines = lines.setdefault(axis, {})
        for name, side in (("theirs", "theirs"), (record["backend"], "ours")):
            line = axis_lines.setdefault(name, {})
            line[value] = record[side]["step_ms"][1]
    return lines


def draw(records, path):
    """Draws the records of a file.

    Args:
        records: List of dictionaries.
        path: Path of the picture.
    """
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    lines = curves(records)
    figure, panels = plt.subplots(
        1,
        len(lines),
        figsize=(3.4 * len(lines), 3.2),
        layout="constrained",
        squeeze=False,
    )
    for panel, (axis, of_axis) in zip(panels[0], lines.items(), strict=True):
        for name, points in sorted(of_axis.items()):
            panel.plot(
                sorted(points),
                [points[value] for value in sorted(points)],
                marker="o",
                markersize=3,
                color=COLORS[name],
                label=name,
            )
        ticks = sorted(
            {value for points in of_axis.values() for value in points}
        )
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.set_xticks(ticks, [str(value) for value in ticks])
        panel.set_xlabel(TITLES[axis])
    panels[0][0].set_ylabel("milliseconds a step")
    panels[0][0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main(arguments=None):
    parser = pair_parser(__doc__.splitlines()[0])
    parser.add_argument("axis", choices=(*AXES, "draw"))
    parser.add_argument("file")
    parser.add_argument("--authors", metavar="CHECKOUT")
    parser.add_argument("--values", type=int, nargs="+")
    parser.add_argument("--picture", default="growth.png")
    parser.set_defaults(steps=3, rounds=2)
    options = parser.parse_args(arguments)
    if options.axis == "draw":
        draw(read_records(options.file), options.picture)
        return
    if not options.authors:
        parser.error("a pair needs `--authors`")
    measure(options)


if __name__ == "__main__":
    main()
