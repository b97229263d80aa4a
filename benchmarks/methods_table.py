"""Prints the records of `methods.py` as a table of Markdown.

    python benchmarks/methods_table.py benchmarks/methods.txt

A row for each small recipe, with the settings that it has and no others: the
first and the last line of its first record. A cell is the percentage of crops
that ten neighbours, or a regression, find before and after.
"""

import argparse
import pathlib
import re

COMMAND = re.compile(r"methods\.py (\w+)_small (?!.*--set)")
LINE = re.compile(
    r"# (?:untrained|(?P<steps>\d+) steps +\((?P<seconds>\d+) s\)) +(?P<all>.+)"
)
SCORES = re.compile(r"(patches|global) ([\d.]+) / ([\d.]+)")


def read_runs(text):
    """Returns for each recipe its steps, seconds, first and last scores."""
    runs = {}
    for record in text.split("\n## ")[1:]:
        head, *lines = record.splitlines()
        command = COMMAND.search(head)
        if command is None or command[1] in runs:
            continue
        matches = [match for match in map(LINE.match, lines) if match]
        first, last = (
            {what: scores for what, *scores in SCORES.findall(match["all"])}
            for match in (matches[0], matches[-1])
        )
        runs[command[1]] = matches[-1], first, last
    return runs


def table(text):
    """Returns the lines of a table.

    Args:
        text: String, the records.
    """
    lines = [
        "| recipe | steps, seconds | patches: neighbours | regression "
        "| image: neighbours | regression |",
        "|---|---|---|---|---|---|",
    ]
    for recipe, (match, first, last) in sorted(read_runs(text).items()):
        cells = [f"`{recipe}_small`", f"{match['steps']}, {match['seconds']}"]
        for what in ("patches", "global"):
            before, after = first.get(what), last.get(what)
            cells += (
                [f"{a} → {b}" for a, b in zip(before, after, strict=True)]
                if before
                else ["", ""]
            )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=pathlib.Path)
    print("\n".join(table(parser.parse_args().file.read_text())))
