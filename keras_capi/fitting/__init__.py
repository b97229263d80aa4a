"""What happens around Keras's `fit`: checks, hints, and going on."""

__all__: list[str] = []
