"""Transformer blocks and their parts."""

__all__ = []
