def schedule_settings(optimizer):
    """Returns the settings of the schedule of an optimizer's learning rate.

    Args:
        optimizer: A Keras optimizer.

    Returns:
        Dictionary, such as the arguments of
        `keras_capi.optimizers.WarmupCosine`; empty if the rate is no schedule.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    # The public way to a schedule.
    rate = inner.get_config().get("learning_rate")
    config = rate.get("config") if isinstance(rate, dict) else None
    return config or {}
