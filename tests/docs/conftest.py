import pytest

from docs import world


@pytest.fixture(scope="session")
def example_files(tmp_path_factory):
    """A folder with all files that examples read."""
    folder = tmp_path_factory.mktemp("example_files")
    world.write_files(folder)
    return folder
