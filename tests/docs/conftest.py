import pathlib
import subprocess
import sys

import pytest

from docs import world

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="session")
def example_files(tmp_path_factory):
    """A folder with all files that examples read."""
    folder = tmp_path_factory.mktemp("example_files")
    world.write_files(folder)
    return folder


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The folder of the built site."""
    pytest.importorskip("mkdocs", reason="mkdocs builds the site")
    folder = tmp_path_factory.mktemp("site")
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict"]
        + ["--site-dir", folder],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return folder
