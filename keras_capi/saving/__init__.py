"""What every model of the package does when it is saved and loaded."""

__all__: list[str] = []
