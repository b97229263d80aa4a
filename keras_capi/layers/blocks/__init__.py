"""The parts of a transformer block."""

__all__ = []
