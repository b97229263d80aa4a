"""Positions of patches: coordinates, tables and rotary angles."""

__all__ = []
