"""Runs workers in turns."""

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]


class Worker:
    """A process of `worker.py` that is built and warmed up.

    Args:
        options: Dictionary. What `worker.py` takes.
        checkout: Path of the repository whose worker and package run.
        environment: Dictionary of environment variables beside the present
            ones.
    """

    def __init__(self, options, checkout=ROOT, environment=None):
        self.options = options
        script = pathlib.Path(checkout) / "benchmarks" / "pairs" / "worker.py"
        self._process = subprocess.Popen(
            [sys.executable, str(script), json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | (environment or {}),
        )
        self.slices = []
        self.start = self._answer()

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            self.close()
            raise RuntimeError(
                f"A worker ended early. Received: options={self.options}"
            )
        return json.loads(line)

    def run(self, steps):
        """Works a number of times, while the caller waits."""
        print(
            json.dumps({"steps": steps}), file=self._process.stdin, flush=True
        )
        self.slices.append(self._answer())

    def close(self):
        """Ends the process and waits for its end."""
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def take_turns(workers, rounds, steps):
    """Lets each worker run a slice in each round, back and forth.

    Args:
        workers: List of `Worker`.
        rounds: Integer. Slices of each worker.
        steps: Integer. Measured steps of a slice; one more comes before them.
    """
    for number in range(rounds):
        for worker in workers[:: -1 if number % 2 else 1]:
            worker.run(steps)
