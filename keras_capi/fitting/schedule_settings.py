from keras_capi.fitting.inner_optimizer import inner_optimizer


def schedule_settings(optimizer):
    """Returns the settings of an optimizer's learning rate schedule.

    Args:
        optimizer: A Keras optimizer.

    Returns:
        Dictionary, such as the arguments of
        `keras_capi.optimizers.WarmupCosine`; empty if the rate is not a
        schedule.
    """
    inner = inner_optimizer(optimizer)
    # The only public way to get the schedule.
    rate = inner.get_config().get("learning_rate")
    config = rate.get("config") if isinstance(rate, dict) else None
    return config or {}
