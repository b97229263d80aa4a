"""What shifts and scales features or images."""

__all__ = []
