"""What surrounds Keras's `fit`: checks, hints, and resuming."""

__all__: list[str] = []
