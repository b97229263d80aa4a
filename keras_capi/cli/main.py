import sys
import warnings

from keras_capi.optional_imports import import_optional


def main():
    """Runs the command line; the user's errors end it with one line."""
    try:
        import_optional("typer", extra="cli")
    except ImportError as error:
        sys.exit(str(error))
    from keras_capi.cli.commands import app
    from keras_capi.fitting.non_finite_loss import NonFiniteLossError

    # Leaves out the line of code, which means nothing to users of commands.
    warnings.formatwarning = lambda message, *_, **__: f"\nWarning: {message}\n"
    # A name that the terminal cannot show must not end a command that worked.
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        # Otherwise usage lines would say `python -m keras_capi` with
        # `--backend`.
        app(prog_name="keras-capi")
    except (ValueError, OSError, ImportError, NonFiniteLossError) as error:
        sys.exit("Error: " + " ".join(str(error).split()))
