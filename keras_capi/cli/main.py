import sys
import warnings

from keras_capi.optional_imports import import_optional


def main():
    """Runs the command line; errors of the user end it with one line."""
    try:
        import_optional("typer", extra="cli")
    except ImportError as error:
        sys.exit(str(error))
    from keras_capi.cli.commands import app
    from keras_capi.fitting.non_finite_loss import NonFiniteLossError

    # Without the line of code, which means nothing to those who type commands.
    warnings.formatwarning = lambda message, *_, **__: f"\nWarning: {message}\n"
    try:
        # Else usage lines of `--backend` would say `python -m keras_capi`.
        app(prog_name="keras-capi")
    except (ValueError, OSError, ImportError, NonFiniteLossError) as error:
        sys.exit("Error: " + " ".join(str(error).split()))
