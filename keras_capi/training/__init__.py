"""What all methods of pretraining share."""

__all__: list[str] = []
