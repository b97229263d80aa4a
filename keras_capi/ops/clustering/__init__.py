"""Clustering: balanced assignments, nearest centroids, k-means."""

__all__ = []
