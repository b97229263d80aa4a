"""What several methods have in common."""

__all__: list[str] = []
