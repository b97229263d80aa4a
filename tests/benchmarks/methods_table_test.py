import pathlib

from benchmarks.methods_table import table

ROOT = pathlib.Path(__file__).parents[2]
RECORDS = """# Numbers.

## python benchmarks/methods.py b_small --steps 40
# untrained           patches 50.0 / 51.0
# 20 steps  (3 s)    patches 51.5 / 52.5   loss 3.0
# 40 steps (12 s)    patches 60.0 / 61.0   loss 2.0
# It learns.

## The same with more: --set a=b
# 40 steps (13 s)    patches 99.0 / 99.0

## python benchmarks/methods.py a_small --steps 40
# untrained           patches 10.0 / 11.0   global 12.0 / 13.0
# 40 steps (12 s)    patches 20.0 / 21.0   global 22.0 / 23.0   loss 2.0

## python benchmarks/methods.py a_small --steps 40 --set a=b
# 40 steps (13 s)    patches 99.0 / 99.0
"""


def test_first_and_last_line_of_each_recipe():
    assert table(RECORDS)[2:] == [
        "| `a_small` | 40, 12 | 10.0 → 20.0 | 11.0 → 21.0 | 12.0 → 22.0 "
        "| 13.0 → 23.0 |",
        "| `b_small` | 40, 12 | 50.0 → 60.0 | 51.0 → 61.0 |  |  |",
    ]


def test_the_page_has_what_is_recorded():
    page = (ROOT / "docs/methods/index.md").read_text().splitlines()
    records = (ROOT / "benchmarks/methods.txt").read_text()
    assert set(table(records)) <= set(page)
