import subprocess
import sys

from distribution.worker_environment import worker_environment


def run_two_processes(*command, timeout):
    """Runs a script in a torch process group of two, to its end.

    Args:
        *command: Path of the script, or `"-m"` and a module, and the arguments.
        timeout: Integer, in seconds.

    Returns:
        What both have printed.
    """
    finished = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        + ["--nproc-per-node=2", *map(str, command)],
        env=worker_environment(),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    return finished.stdout
