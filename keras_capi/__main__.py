"""Lets `python -m keras_capi` do what the command `keras-capi` does."""

from keras_capi.cli.main import main

if __name__ == "__main__":
    main()
