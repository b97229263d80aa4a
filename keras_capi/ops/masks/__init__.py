"""Masks: which patches, pixels or scores are hidden."""

__all__ = []
