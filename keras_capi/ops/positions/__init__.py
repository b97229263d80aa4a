"""Where patches are, and what is made of it."""

__all__ = []
