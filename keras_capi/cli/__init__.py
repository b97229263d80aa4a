"""The command `keras-capi`."""

__all__: list[str] = []
