"""What is to be run, and running it so that one failure costs one row."""

import itertools
import json
import os
import pathlib
import re
import subprocess
import sys

FOLDER = pathlib.Path(__file__).parent
PARITY = FOLDER.parent / "parity.py"
# Parity is of float32, which cards and JAX shorten to TF32 by default.
FULL_FLOAT32 = {
    "JAX_DEFAULT_MATMUL_PRECISION": "highest",
    "NVIDIA_TF32_OVERRIDE": "0",
}
# Eager and compiled, ours as it is by default; JAX compiles always.
COMPILE = {
    "ours": {"torch": ("off", "auto"), "jax": ("auto",)},
    "authors": {"torch": ("off", "on")},
}
ERROR = re.compile(r"(\w+\.)*\w*(Error|Exception|Exit|Interrupt)\b")
REASON_LENGTH = 100


def training_jobs(options):
    """Returns the trainings to measure, a list of dictionaries.

    Args:
        options: The parsed command line.
    """
    shared = {
        "method": "capi",
        "image_size": options.image_size,
        "batch_size": options.batch_size,
        "clusters": options.clusters,
        "chunk_size": None,
        "steps": options.steps,
        "product_size": options.product_size,
    }
    # When tiny, nothing that takes long to compile.
    last = 1 if options.tiny else None
    sides = [
        {"side": "ours", "backend": backend, "compile": compile}
        for backend in options.backend
        for compile in COMPILE["ours"][backend][:last]
    ]
    if options.authors:
        sides += [
            {
                "side": "authors",
                "backend": "torch",
                "compile": compile,
                "authors": options.authors,
            }
            for compile in COMPILE["authors"]["torch"][:last]
        ]
    return [
        {**shared, "size": size, "precision": precision, **side}
        for size, precision, side in itertools.product(
            options.size, options.precision, sides
        )
    ]


def run_training(job, timeout):
    """Runs a job.

    Args:
        job: Dictionary, of `training_jobs`.
        timeout: Number of seconds.

    Returns:
        Dictionary: the job, and its figures or `"failure"`, a string.
    """
    command = [sys.executable, str(FOLDER / "job.py"), json.dumps(job)]
    status, output, errors = _run(command, {}, timeout)
    if status:
        return {**job, "failure": reason(status, errors)}
    return {**job, **json.loads(output.strip().splitlines()[-1])}


def run_parity(method, backend, timeout):
    """Compares a method's numbers with its authors', as `run_training`."""
    command = [sys.executable, str(PARITY), "--method", method]
    environment = {"KERAS_BACKEND": backend, **FULL_FLOAT32}
    status, output, errors = _run(command, environment, timeout)
    result = {"method": method, "backend": backend}
    if status:
        return {**result, "failure": reason(status, errors or output)}
    return result


def _run(command, environment, timeout):
    """Returns a command's exit status, its output and its errors."""
    try:
        done = subprocess.run(
            command,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1, "", f"It took more than {timeout} seconds."
    return done.returncode, done.stdout, done.stderr


def reason(status, errors):
    """Returns in one line why a process failed.

    Args:
        status: Integer. Its exit status.
        errors: String. What it wrote about it.
    """
    if status < 0:
        return f"ended by signal {-status}"
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    for line in lines:
        if "OutOfMemory" in line or "RESOURCE_EXHAUSTED" in line:
            return "out of memory"
    if not lines:
        return f"exit status {status}"
    # An error of several lines begins with its name.
    named = [line for line in lines if ERROR.match(line)]
    return (named or lines)[-1].replace("|", "/")[:REASON_LENGTH]
