"""From pixels to tokens, and what stands beside them."""

__all__ = []
