"""Images of an epoch, equally many of each cluster."""

import numpy as np

from keras_capi import backend


def sample_clusters(labels, num_samples, generator):
    """Draws images so that all clusters come equally often.

    Otherwise the model would learn little but the large clusters. Each cluster
    that is not empty gives the same number of images, with repetition unless it
    has more. Each of several processes gets its part of what a single one would
    draw.

    Args:
        labels: Integer array of shape `(images,)`: the cluster of each image,
            negative for none.
        num_samples: Integer. How many to draw for this process.
        generator: `np.random.Generator`, in the same state in each process.

    Returns:
        Integer array of shape `(num_samples,)`, numbers of images in random
        order.
    """
    members = [
        np.flatnonzero(labels == label)
        for label in np.unique(labels[labels >= 0])
    ]
    num_processes = backend.num_processes()
    num_samples *= num_processes
    count = num_samples // len(members) + 1
    drawn = np.concatenate(
        [
            generator.choice(images, count, replace=len(images) <= count)
            for images in members
        ]
    )
    drawn = generator.permutation(drawn)[:num_samples]
    return drawn[backend.process_index() :: num_processes]
