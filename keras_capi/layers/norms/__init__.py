"""Normalisation of features and images."""

__all__ = []
