from keras_capi.fitting.inner_optimizer import inner_optimizer


def check_known_weights(model):
    """Raises a `ValueError` if the optimizer does not know all weights.

    On some backends Keras raises an error that prints the values of a weight;
    on TensorFlow a step that was traced before silently does not train them.

    Args:
        model: A `keras.Model`.
    """
    optimizer = inner_optimizer(getattr(model, "optimizer", None))
    if optimizer is None or not optimizer.built:
        return
    known = {id(weight) for weight in optimizer._trainable_variables}
    unknown = [x.path for x in model.trainable_variables if id(x) not in known]
    if unknown:
        raise ValueError(
            "A model must be compiled again after other weights have been made "
            "trainable, by `trainable`, `freeze_backbone` or a head of "
            "`keras_capi.tasks` on the encoder. Received: "
            f"{len(unknown)} weights that train since then, such as "
            f"{unknown[0]}"
        )
