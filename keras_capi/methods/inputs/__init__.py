"""Inputs of a training step: checking them, and drawing what is missing."""

__all__: list[str] = []
