"""Contrastive loss: find the other view of an image among all others."""

from keras import ops

from keras_capi.ops.collectives import gather_samples
from keras_capi.ops.losses.label_cross_entropy import label_cross_entropy
from keras_capi.validation import check_positive

# Subtracted from the similarity of a view to itself, which is no answer.
EXCLUDED = 1e9


def contrast_views(embeddings, temperature):
    """Scores each of two views against all views of the global batch.

    Args:
        embeddings: Float tensor of shape `(batch, 2, width)`: two views of each
            image, of length 1.
        temperature: Float. Divides the cosine similarities.

    Returns:
        Tuple of `labels`, an integer tensor of shape `(2, batch)`, and
        `logits`, a float32 tensor of shape `(2, batch, 2 * all)`. The last axis
        is the first views of the images of all devices, and then the second
        ones. The label is the index of the other view of the image; the
        similarity of a view to itself is made far lower than all others.
    """
    check_positive("temperature", temperature)
    embeddings = ops.cast(embeddings, "float32")
    candidates, indices = gather_samples(embeddings)
    num_images = ops.shape(candidates)[0]
    views, candidates = (
        ops.swapaxes(x, 0, 1) for x in (embeddings, candidates)
    )
    candidates = ops.reshape(candidates, (-1, embeddings.shape[-1]))
    logits = ops.matmul(views, ops.transpose(candidates)) / temperature
    first, second = indices, indices + num_images
    themselves = ops.stack([first, second])[..., None]
    is_itself = ops.arange(2 * num_images) == themselves
    logits = logits - EXCLUDED * ops.cast(is_itself, "float32")
    return ops.stack([second, first]), logits


def info_nce(labels, logits):
    """Returns the contrastive loss of two views, NT-Xent.

    As in SimCLR's code, the mean losses of the first and second views are
    added: twice the mean in the paper.

    Args:
        labels: See `contrast_views`.
        logits: Likewise.

    Returns:
        Float32 scalar tensor, in nats.

    Reference:

    - [SimCLR](https://arxiv.org/abs/2002.05709), equation 1
    - [CPC](https://arxiv.org/abs/1807.03748), section 2.3
    """
    losses = label_cross_entropy(labels, logits)
    return ops.sum(ops.mean(losses, axis=1))
