"""Which arguments of an encoder may differ from those it was trained with."""

import inspect

# They do not change what trained weights compute: how a model runs, is trained
# further or is called, how its images come, and how lost values were drawn.
FREE_ARGUMENTS = (
    "name",
    "dtype",
    "seed",
    "image_shape",
    "pad",
    "mean",
    "standard_deviation",
    "feature_layer",
    "drop_path_rate",
    "drop_path_method",
    "attention_dropout_rate",
    "lora_rank",
    "kernel_initializer",
    "patch_initializer",
    "token_initializer",
)


def check_overrides(cls, config, overrides):
    """Raises a `ValueError` if overrides change the meaning of weights.

    Most such weights would load without a word: other heads have the same
    shapes, and Keras loads the first of several layers.

    Args:
        cls: Class of the encoder.
        config: Dictionary. The arguments that its weights were trained with.
        overrides: Dictionary of other arguments.
    """
    parameters = inspect.signature(cls).parameters
    for name, value in overrides.items():
        if name in cls.free_arguments:
            continue
        if name in config:
            saved = config[name]
        elif name in parameters:
            # Younger than the preset.
            saved = parameters[name].default
        else:
            # The constructor takes it, or names it in its error.
            continue
        if _as_tuple(value) != _as_tuple(saved):
            raise ValueError(
                f"`{name}` cannot be overridden, as the weights were trained "
                "with it, unless with `load_weights=False`. "
                f"Received: {name}={value!r}, saved {saved!r}"
            )


def check_position_grid(encoder, config):
    """Raises a `ValueError` if positions are for another grid of patches.

    Grids of as many patches have tables of the same shape.

    Args:
        encoder: The encoder with overrides.
        config: Dictionary, as for `check_overrides`.
    """
    made = encoder.position_grid
    if made is None:
        return
    saved = encoder.grid_size(config["image_shape"])
    if tuple(saved) != tuple(made):
        raise ValueError(
            "`image_shape` must have the saved numbers of rows and columns of "
            "patches, as positions were trained for them. Leave it out: "
            "`keras_capi.encoders.resize_vit` converts a loaded `ViT`. "
            f"Received: {tuple(made)} patches, saved {tuple(saved)}"
        )


def _as_tuple(value):
    return tuple(value) if isinstance(value, list) else value
