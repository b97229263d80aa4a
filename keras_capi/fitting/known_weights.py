def check_known_weights(model):
    """Raises a `ValueError` if weights train that the optimizer does not know.

    Keras says so on some backends, with the values of a weight; on TensorFlow
    a step that was traced before leaves them as they are, without a word.

    Args:
        model: A `keras.Model`.
    """
    optimizer = getattr(model, "optimizer", None)
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if optimizer is None or not optimizer.built:
        return
    known = {id(weight) for weight in optimizer._trainable_variables}
    unknown = [x.path for x in model.trainable_variables if id(x) not in known]
    if unknown:
        raise ValueError(
            "A model must be compiled anew after a change of what trains, such "
            "as `trainable`, `freeze_backbone` or a head of `keras_capi.tasks` "
            f"on its encoder. Received: {len(unknown)} weights that train "
            f"since then, such as {unknown[0]}"
        )
