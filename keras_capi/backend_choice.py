"""Chooses Keras's backend, which has to be done before Keras is imported."""

import importlib
import json
import os
import pathlib
import sys

# Keras's own default first.
BACKENDS = ("tensorflow", "jax", "torch")
COMMAND = "keras-capi"


def choose_backend():
    """Sets `KERAS_BACKEND` if Keras could not be imported otherwise.

    In a program, if the variable is not set and Keras's choice, that of
    `keras.json` or TensorFlow, is not installed. In the command `keras-capi`
    also to what `--backend` says, and in place of a variable that names what
    is not installed. Says on the standard error what it chose by itself.

    Raises:
        SystemExit: In the command, if the backend cannot be imported.
    """
    if "keras" in sys.modules:
        return
    is_command = _is_command()
    option = _read_option(sys.argv[1:]) if is_command else None
    variable = os.environ.get("KERAS_BACKEND")
    if option in BACKENDS:
        problem = _problem_of(option)
        if problem:
            sys.exit(
                f"Error: --backend {option}: {problem}. To install it: "
                f'pip install "keras-capi[{option}]"'
            )
        os.environ["KERAS_BACKEND"] = option
        return
    if variable and not is_command:
        return
    configured = _read_configuration()
    wanted = variable or configured or BACKENDS[0]
    if wanted not in BACKENDS:
        if is_command:
            place = "KERAS_BACKEND" if variable else "keras.json"
            sys.exit(
                f"Error: the backend must be one of {', '.join(BACKENDS)}. "
                f"Received: {wanted}, in {place}"
            )
        return
    problem = _problem_of(wanted)
    if problem is None:
        if is_command and not (variable or configured):
            _say(f"Using {wanted}, which is installed")
        return
    for name in BACKENDS:
        if name != wanted and _problem_of(name) is None:
            os.environ["KERAS_BACKEND"] = name
            _say(f"Using {name}, which is installed; {wanted}: {problem}")
            return
    if is_command:
        sys.exit(
            "Error: no backend of Keras can be imported. "
            f"{wanted}: {problem}. To install one: pip install "
            '"keras-capi[jax]", or tensorflow or torch in place of jax'
        )


def _is_command():
    # While `python -m` imports the package, this is not a path yet.
    if sys.argv[:1] == ["-m"]:
        return "keras_capi" in sys.orig_argv
    return pathlib.PurePath(*sys.argv[:1]).stem == COMMAND


def _read_option(arguments):
    """Returns what `--backend` before the command says, or `None`."""
    value = None
    arguments = iter(arguments)
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if name == "--backend":
            value = text if equals else next(arguments, None)
        elif not argument.startswith("-"):
            break
    return value


def _read_configuration():
    """Returns the backend in `keras.json`, where Keras looks for it."""
    home = os.path.expanduser(os.environ.get("KERAS_HOME") or "~/.keras")
    try:
        return json.loads(pathlib.Path(home, "keras.json").read_text())[
            "backend"
        ]
    except (OSError, ValueError, KeyError, TypeError):
        # Keras passes over a file like this too.
        return None


def _problem_of(name):
    """Returns why a backend cannot be imported, or `None`."""
    former = os.environ.get("KERAS_BACKEND")
    # TensorFlow may import Keras, which must not take another then.
    os.environ["KERAS_BACKEND"] = name
    try:
        importlib.import_module(name)
        return None
    # A broken installation may raise anything.
    except Exception as error:
        _forget_keras()
        is_missing = isinstance(error, ModuleNotFoundError)
        if is_missing and error.name in (name, None):
            return "not installed"
        reason = str(error).strip().partition("\n")[0]
        return f"cannot be imported ({reason})"
    finally:
        os.environ.pop("KERAS_BACKEND")
        if former is not None:
            os.environ["KERAS_BACKEND"] = former


def _forget_keras():
    """Lets Keras be imported anew, after a backend that brought it failed."""
    for name in list(sys.modules):
        if name.partition(".")[0] == "keras":
            del sys.modules[name]


def _say(message):
    print(
        f"{message}. KERAS_BACKEND or --backend chooses another.",
        file=sys.stderr,
        flush=True,
    )
