"""Colours: changes of them, spaces and codes."""

__all__ = []
