"""Assignments to clusters, balanced or nearest."""

__all__ = []
