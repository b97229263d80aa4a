from keras_capi.optional_imports import import_optional
from keras_capi.validation import check_number
from keras_capi.validation import check_positive_integer
from keras_capi.visualization.read_history import VALIDATION
from keras_capi.visualization.read_history import read_history

LABELS = {
    "capi_loss": "CAPI loss",
    "clustering_loss": "clustering loss",
    "dino_loss": "DINO loss",
    "pixel_loss": "pixel loss",
    "swav_loss": "SwAV loss",
    "target_entropy": "entropy of the targets",
}


def curve_labels(curves):
    """Returns which curves to draw: the losses and the target entropy.

    Args:
        curves: Dictionary from names to values.

    Returns:
        Dictionary from names to labels.
    """
    # The losses of a method have names of their own; `loss` is their sum.
    names = [
        name
        for name in curves
        if name.endswith("_loss") and not name.startswith(VALIDATION)
    ]
    names = [*LABELS, *(name for name in names if name not in LABELS)]
    return {
        name: LABELS.get(name, name.replace("_", " "))
        for name in names
        if curves.get(name)
    }


def training_curves(history, ceiling=None, steps_per_epoch=None):
    """Plots losses and target entropy over epochs and steps.

    The loss of CAPI or DINO cannot fall below the entropy of the targets. The
    gap between the two is what remains to be learned.

    Args:
        history: What `fit` returns; its `history`, a dictionary of lists with
            a value for each epoch; or the path of a file that
            `keras.callbacks.CSVLogger` wrote. Missing curves are left out.
            Validation curves (`"val_..."`) are dashed.
        ceiling: Float or `None`. A level to compare the CAPI loss with: the
            entropy of the mean assignment, which a predictor reaches without
            looking at the image. Defaults to `None`.
        steps_per_epoch: Integer or `None`. Batches of an epoch. Adds a second
            axis with steps, the unit of schedules. Curves still have one value
            for each epoch. Defaults to `None`.

    Returns:
        A `matplotlib.figure.Figure`, to save with `savefig`.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If the history has none of the curves or not a value for
            each epoch, or `steps_per_epoch` is not positive.

    Example:

    >>> history = model.fit(images, epochs=10)
    >>> figure = keras_capi.visualization.training_curves(history)
    >>> figure.savefig("training_curves.png")
    """
    figure_module = import_optional("matplotlib.figure", extra="demo")
    if ceiling is not None:
        check_number("ceiling", ceiling)
    if steps_per_epoch is not None:
        check_positive_integer("steps_per_epoch", steps_per_epoch)
    curves, epochs = read_history(history)
    labels = curve_labels(curves)
    if not labels:
        raise ValueError(
            "`history` must have a loss of a method, such as one of "
            f"{sorted(LABELS)}. Received: {sorted(curves)}"
        )
    # Made without `pyplot`, which would keep it, and may need a display.
    figure = figure_module.Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for index, (name, label) in enumerate(labels.items()):
        for prefix, style in (("", "-"), (VALIDATION, "--")):
            values = curves.get(prefix + name)
            if values:
                axes.plot(
                    epochs[prefix + name],
                    values,
                    style,
                    # A line with a single point would be invisible.
                    marker="o" if len(values) == 1 else None,
                    color=f"C{index}",
                    label=f"{label} (validation)" if prefix else label,
                )
    if ceiling is not None:
        axes.axhline(
            ceiling,
            color="gray",
            linestyle=":",
            label="entropy of the mean assignment",
        )
    # Losses in pixels are errors.
    unit = "nats" if {"capi_loss", "target_entropy"} & set(labels) else "loss"
    axes.set(xlabel="epoch", ylabel=unit)
    # A loss such as DINOv2's KoLeo may be negative.
    if axes.dataLim.ymin >= 0:
        axes.set_ylim(bottom=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if steps_per_epoch is not None:
        steps = axes.secondary_xaxis(
            "top",
            functions=(
                lambda epochs: epochs * steps_per_epoch,
                lambda steps: steps / steps_per_epoch,
            ),
        )
        steps.set_xlabel("step")
    # Below the curves, where it hides none.
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure
