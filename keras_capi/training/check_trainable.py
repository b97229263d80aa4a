def check_trainable(name, encoder, parts=()):
    """Raises a `ValueError` if an encoder is frozen, as a teacher is.

    Args:
        name: String. Name of the argument, for the error.
        encoder: `keras_capi.encoders.Encoder`.
        parts: Sequence of its layers, each of which must have trainable
            weights. Defaults to `()`.
    """
    if encoder.has_lora:
        raise ValueError(
            f"`{name}` must train as a whole: save it with `save_to_preset` "
            "and load it with `from_preset`, which makes LoRA a part of its "
            f"weights. Received: {name}.lora_rank={encoder.lora_rank}"
        )
    frozen = [part.name for part in parts if not part.trainable_weights]
    if frozen or not encoder.trainable_weights:
        whose = f" whose {' and '.join(frozen)}" if frozen else ""
        raise ValueError(
            f"`{name}` must be trainable: set `{name}.trainable = True`, or "
            f"load a copy with `from_preset`. Received: `{name}`{whose} cannot "
            "train"
        )
