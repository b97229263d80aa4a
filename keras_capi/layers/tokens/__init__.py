"""From pixels to tokens: patches, positions, class token and registers."""

__all__ = []
