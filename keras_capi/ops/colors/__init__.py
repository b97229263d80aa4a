"""Colours: changes, colour spaces and codes."""

__all__ = []
