"""Prints the records of `pair.py` as a table of Markdown.

    python benchmarks/pair_table.py benchmarks/speed.txt

A row for each setting, with theirs first; each backend's cell is the ratio of
its time to theirs, the milliseconds, the share of the machine's peak, and the
peak memory. Of several records of one setting and backend the last one counts.
"""

import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

# ruff: noqa: E402
from benchmarks.pairs.records import read_records

SETTING = (
    "what",
    "method",
    "size",
    "batch_size",
    "clusters",
    "image_size",
    "precision",
    "compile_theirs",
)
TITLES = {
    "simmim": "SimMIM",
    "ijepa": "I-JEPA",
    "ibot": "iBOT",
    "beit": "BEiT",
    "data2vec": "data2vec",
    "dinov2": "DINOv2",
    "swav": "SwAV",
    "deepclusterv2": "DeepCluster v2",
    "rotation": "RotNet",
    "image_gpt": "image GPT",
}


def _side(side):
    return (
        f"{side['step_ms'][1]} ms, {side['share_of_peak']:.0%}, "
        f"{side['peak_memory_gib']} GiB"
    )


def _title(record):
    method = record["method"]
    title = TITLES.get(method, method.upper())
    parts = [title, record["size"], record["what"]]
    if record["compile_theirs"] == "off":
        parts.append("(theirs eager)")
    return f"{' '.join(parts)}, batch {record['batch_size']}"


def table(records):
    """Returns the lines of a table.

    Args:
        records: List of what `pair.py` prints.
    """
    rows, backends = {}, []
    for record in records:
        setting = tuple(record[name] for name in SETTING)
        rows.setdefault(setting, {})[record["backend"]] = record
        if record["backend"] not in backends:
            backends.append(record["backend"])
    lines = [
        " | ".join(("", "theirs", *backends)),
        "|".join(["---"] * (2 + len(backends))),
    ]
    for row in rows.values():
        *_, last = row.values()
        cells = [_title(last), _side(last["theirs"])]
        for backend in backends:
            if backend in row:
                ratio = row[backend]["ratio"][0]
                cells.append(f"**{ratio}**: {_side(row[backend]['ours'])}")
            else:
                cells.append("")
        lines.append(" | ".join(cells))
    return [f"| {line} |".replace("|  |", "| |") for line in lines]


if __name__ == "__main__":
    print("\n".join(table(read_records(sys.argv[1]))))
