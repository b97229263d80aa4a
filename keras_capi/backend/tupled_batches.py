def tupled_batches(x):
    """Returns data whose batches are tuples, if it is a torch `DataLoader`.

    Keras 3.15 makes each batch a tuple on TensorFlow and JAX, and so takes
    apart the images of a loader that yields an array or a dictionary alone.

    Args:
        x: The `x` or `validation_data` given to `fit`, `evaluate` or
            `predict`.

    Returns:
        A `DataLoader` of the same batches, `(batch,)` where they were no tuples
        or lists; `x` itself if it is something else.
    """
    if not (hasattr(x, "collate_fn") and hasattr(x, "batch_sampler")):
        return x
    import torch

    class Batches(torch.utils.data.IterableDataset):
        def __iter__(self):
            for batch in x:
                yield batch if isinstance(batch, tuple | list) else (batch,)

    class CountedBatches(Batches):
        def __len__(self):
            return len(x)

    return torch.utils.data.DataLoader(
        CountedBatches() if hasattr(x.dataset, "__len__") else Batches(),
        batch_size=None,
        collate_fn=lambda batch: batch,
        # Its own, as a loader draws a number before each epoch.
        generator=torch.Generator(),
    )
