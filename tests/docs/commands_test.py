"""Every shell block of the pages runs, in order, but for what it must not."""

import re
import shlex
import tomllib

import keras
import pytest

from docs import world
from keras_capi.cli.main import main

BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)

# Commands that are not run, found by how they begin.
NOT_RUN = {
    "pip install": "needs a network",
    "python3 -m venv": "needs a network afterwards",
    "export KERAS_BACKEND": "the tests choose the backend",
    "KERAS_BACKEND=jax python examples/": "tests/examples",
    "KERAS_BACKEND=jax python benchmarks/parity.py": "tests/methods",
    "export JAX_": "a folder of the user's",
    "export TORCHINDUCTOR_": "likewise",
    "export TF_": "likewise",
    "git clone": "needs a network",
    "torchrun": "tests/distribution",
    "python benchmarks/pair.py": "needs the authors' code",
    "python benchmarks/gpu/run.py": "tests/benchmarks",
    "KERAS_BACKEND=jax python -m pytest": "runs the tests, this one too",
    "keras-capi report demo_output": "the folder that an example writes",
}
# A user's training is longer, and of a larger model.
SMALLER_ENCODER = (
    "encoder.num_layers=1",
    "encoder.hidden_dim=16",
    "encoder.num_heads=2",
)
SMALLER = {
    "colorization_small": ("data.image_size=32", *SMALLER_ENCODER),
    "context_encoder_small": ("data.image_size=32", *SMALLER_ENCODER),
    "aim_small": ("data.image_size=32", *SMALLER_ENCODER),
    "beit_small": SMALLER_ENCODER,
    "data2vec2_small": SMALLER_ENCODER,
    "data2vec_small": SMALLER_ENCODER,
    "deepcluster_small": ("views.num_local_views=1", *SMALLER_ENCODER),
    "denoising_autoencoder_small": ("data.image_size=32", *SMALLER_ENCODER),
    "discrete_vae_small": ("data.image_size=32", "hidden_dim=8"),
    "image_gpt_small": ("encoder.image_size=4", *SMALLER_ENCODER),
    "ijepa_small": ("predictor.num_layers=1", *SMALLER_ENCODER),
    "mae_small": ("data.image_size=32", *SMALLER_ENCODER),
    "dino_small": ("views.num_local_views=1", *SMALLER_ENCODER),
    "dinov2_small": ("views.num_local_views=1", *SMALLER_ENCODER),
    "ibot_small": ("views.num_local_views=1", *SMALLER_ENCODER),
    "relative_position_small": ("views.crop_size=16", *SMALLER_ENCODER),
    "rotation_small": ("data.image_size=32", *SMALLER_ENCODER),
    "simclr_small": SMALLER_ENCODER,
    "simmim_small": ("data.image_size=32", *SMALLER_ENCODER),
    "swav_small": ("views.num_local_views=1", *SMALLER_ENCODER),
}
SMALLER_CAPI = (
    "data.image_size=32",
    "backbone.num_layers=1",
    "backbone.predictor_num_layers=1",
    "backbone.hidden_dim=16",
    "backbone.num_heads=2",
)


def commands_of(page):
    """Returns the commands of a page, each as a line without its comment."""
    lines = "".join(BLOCK.findall(world.PAGES[page].read_text()))
    lines = lines.replace("\\\n", " ").splitlines()
    return [
        " ".join(shlex.split(line, comments=True))
        for line in lines
        if line.strip()
    ]


WITH_COMMANDS = [
    page
    for page in world.PAGES
    if any(x.startswith("keras-capi ") for x in commands_of(page))
]


def is_run(command):
    return not command.startswith(tuple(NOT_RUN))


def shorten(arguments):
    """Returns the arguments of a command that takes a second or two."""
    if "--backend" in arguments:
        # The backend of this process: Keras cannot change it.
        place = arguments.index("--backend")
        arguments = arguments[:place] + arguments[place + 2 :]
    if arguments[0] == "visualize":
        return [*arguments, "--num-images", "3"]  # the last one counts
    if arguments[0] != "pretrain":
        return arguments
    named = next((x for x in arguments if x in SMALLER), None)
    for setting in SMALLER.get(named, SMALLER_CAPI):
        arguments = [*arguments, "--set", setting]
    if "--epochs" in arguments:
        arguments[arguments.index("--epochs") + 1] = "1"
        return arguments
    return [*arguments, "--set", "training.steps=1"]


def test_tables_are_up_to_date():
    commands = [
        command for page in world.PAGES for command in commands_of(page)
    ]
    for start in NOT_RUN:
        assert any(command.startswith(start) for command in commands), start
    for command in filter(is_run, commands):
        assert command.startswith("keras-capi "), command


def test_extras_exist():
    content = (world.ROOT / "pyproject.toml").read_text()
    project = tomllib.loads(content)["project"]
    for page in world.PAGES.values():
        for extras in re.findall(
            r"keras-capi\[([\w,]+)\]|-e \"\.\[([\w,]+)\]\"", page.read_text()
        ):
            for extra in "".join(extras).split(","):
                assert extra in project["optional-dependencies"], page.name


@pytest.mark.skipif(
    keras.backend.backend() != "torch",
    reason="tests/cli runs all commands; torch has nothing to compile here.",
)
@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_commands_run(page, example_files, tmp_path, monkeypatch):
    world.copy_files(example_files, tmp_path)
    monkeypatch.chdir(tmp_path)
    for command in filter(is_run, commands_of(page)):
        keras.utils.set_random_seed(0)
        arguments = shorten(shlex.split(command)[1:])
        monkeypatch.setattr("sys.argv", ["keras-capi", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code in (0, None), f"{command}: {ended.value.code}"
