def total_steps_of(optimizer):
    """Returns how many updates an optimizer's schedule is for, or `None`.

    Args:
        optimizer: A Keras optimizer. The schedule of its learning rate may have
            `total_steps`, as `keras_capi.optimizers.WarmupCosine` has.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    # The public way to a schedule.
    rate = inner.get_config().get("learning_rate")
    config = rate.get("config") if isinstance(rate, dict) else None
    return (config or {}).get("total_steps")
