"""Images of an epoch, of all clusters alike."""

import numpy as np


def sample_clusters(labels, num_samples, generator):
    """Draws images so that all clusters come equally often.

    Large clusters would otherwise be all that is learned. Each that has images
    gives the same number of them, with repetition if it has no more than that.

    Args:
        labels: Integer array of shape `(images,)`: the cluster of each image,
            negative for none.
        num_samples: Integer.
        generator: `np.random.Generator`.

    Returns:
        Int array of shape `(num_samples,)`, numbers of images in random order.
    """
    members = [
        np.flatnonzero(labels == label)
        for label in np.unique(labels[labels >= 0])
    ]
    count = num_samples // len(members) + 1
    drawn = np.concatenate(
        [
            generator.choice(images, count, replace=len(images) <= count)
            for images in members
        ]
    )
    return generator.permutation(drawn)[:num_samples]
