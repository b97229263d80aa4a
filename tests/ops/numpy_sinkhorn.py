"""The Sinkhorn-Knopp algorithm in plain NumPy and float64."""

import numpy as np


def sinkhorn(logits, num_iterations=3, epsilon=1e-8):
    """Balances `(samples, clusters)`, a cluster and a sample at a time."""
    matrix = np.array(logits, "float64")
    num_samples, num_clusters = matrix.shape
    for cluster in range(num_clusters):
        column = matrix[:, cluster]
        matrix[:, cluster] = np.exp(column - column.max() + 50.0)
    for iteration in range(num_iterations):
        for cluster in range(num_clusters):
            matrix[:, cluster] /= matrix[:, cluster].sum() + epsilon
        for sample in range(num_samples):
            total = matrix[sample].sum()
            is_last = 0 < iteration == num_iterations - 1
            if total > 1e-3 or not is_last:
                total += epsilon
            matrix[sample] /= total
    return matrix
