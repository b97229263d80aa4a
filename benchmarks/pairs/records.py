"""Records of former commits, and whether a step has become slower since.

A recorded time says little on another day or machine, and no product of
matrices tells how much quicker a machine is at everything else. So a record
names a commit, and comparing runs that commit again, in turns with what is
here: two sides in one run, of which a tenth of load or of temperature takes
from both.
"""

import io
import json
import pathlib
import subprocess
import tarfile
import tempfile

from benchmarks.pairs.contest import ROOT
from benchmarks.pairs.contest import Worker
from benchmarks.pairs.contest import take_turns
from benchmarks.pairs.ratios import ratios_by_round
from benchmarks.pairs.ratios import summary

LIMIT = 1.05


def _git(*arguments):
    return subprocess.run(
        ("git", "-C", str(ROOT), *arguments), check=True, capture_output=True
    ).stdout


def append_record(path, settings, result):
    """Writes a line of JSON that `compare` reads.

    Args:
        path: Path of a file, which may have records already.
        settings: Dictionary. What `worker.py` takes.
        result: Dictionary. What was measured, for readers alone.

    Raises:
        RuntimeError: If files differ from the commit that is recorded.
    """
    if _git("status", "--porcelain", "keras_capi", "benchmarks/*.py"):
        raise RuntimeError(
            "A record names a commit, so what it measures must be committed."
        )
    commit = _git("rev-parse", "HEAD").decode().strip()
    record = {"commit": commit, "settings": settings, "result": result}
    with open(path, "a") as file:
        print(json.dumps(record), file=file)


def read_records(path):
    """Returns the records of a file, whose other lines begin with `#`."""
    return [
        json.loads(line)
        for line in pathlib.Path(path).read_text().splitlines()
        if line.strip() and not line.startswith("#")
    ]


def unpack(commit, folder):
    """Writes a commit's files to a folder."""
    with tarfile.open(fileobj=io.BytesIO(_git("archive", commit))) as archive:
        archive.extractall(folder, filter="data")


def compare(records, rounds, steps, make_worker=Worker, unpack=unpack):
    """Runs recorded commits and the present files in turns.

    Args:
        records: What `read_records` returns.
        rounds: Integer. Slices of each side.
        steps: Integer. Measured steps of a slice.
        make_worker: Function of settings and the folder of a checkout.
        unpack: Function of a commit and a folder.

    Returns:
        Integer, the exit status: 1 if the median ratio of a pair is over
        `LIMIT`.
    """
    slower = False
    for record in records:
        settings = record["settings"]
        with tempfile.TemporaryDirectory() as folder:
            unpack(record["commit"], folder)
            workers = []
            try:
                for checkout in (folder, ROOT):
                    workers.append(make_worker(settings, checkout))
                take_turns(workers, rounds, steps)
            finally:
                for worker in workers:
                    worker.close()
        then, now = (
            [part["seconds"] for part in worker.slices] for worker in workers
        )
        ratio = summary(ratios_by_round(now, then))
        worse = ratio[0] > LIMIT
        slower |= worse
        print(
            json.dumps(
                {
                    "verdict": "slower" if worse else "kept",
                    "ratio": ratio,
                    "since": record["commit"],
                    **settings,
                }
            ),
            flush=True,
        )
    return int(slower)
