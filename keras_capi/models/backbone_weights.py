"""What student and teacher ask of the weights of a backbone."""

from keras import ops


def check_trainable(backbone):
    """Raises a `ValueError` if a backbone is frozen, as teachers are."""
    frozen = [
        part.name
        for part in (backbone.encoder, backbone.predictor)
        if not part.trainable_weights
    ]
    if frozen:
        raise ValueError(
            "`backbone` must be trainable: set `backbone.trainable = True`, or "
            "load a copy with `from_preset`. Received: a backbone whose "
            f"{' and '.join(frozen)} cannot train"
        )


def copy_weights(source, target):
    """Gives a layer the weights of another of the same architecture."""
    for from_weight, to_weight in zip(
        source.weights, target.weights, strict=True
    ):
        # Copied: JAX refuses to donate one buffer twice.
        to_weight.assign(ops.copy(from_weight.value))
