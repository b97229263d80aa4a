from keras_capi.optional_imports import import_optional
from keras_capi.validation import check_number
from keras_capi.validation import check_positive_integer

LABELS = {
    "capi_loss": "CAPI loss",
    "clustering_loss": "clustering loss",
    "target_entropy": "entropy of the targets",
}


def training_curves(history, ceiling=None, steps_per_epoch=None):
    """Plots the losses and the entropy of the targets over epochs and steps.

    The CAPI loss cannot fall below the entropy of the targets: the distance
    between the two is what remains to be learned.

    Args:
        history: What `fit` returns, or its `history`, a dictionary of lists.
            Curves that it does not have are left out, validation curves
            (`"val_..."`) are dashed.
        ceiling: Float or `None`. A level to compare the CAPI loss with: the
            entropy of the mean assignment, which is what a predictor reaches
            that ignores the image. Defaults to `None`.
        steps_per_epoch: Integer or `None`. Batches of an epoch, for a second
            axis, of steps: what schedules count in. Each curve has one value an
            epoch all the same, as the history has. Defaults to `None`.

    Returns:
        A `matplotlib.figure.Figure`, to be saved with `savefig`.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If the history has none of the curves, or
            `steps_per_epoch` is not positive.

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
    curves = getattr(history, "history", history)
    if not any(name in curves for name in LABELS):
        raise ValueError(
            f"`history` must have at least one of {sorted(LABELS)}. "
            f"Received: {sorted(curves)}"
        )
    # A figure of its own: `pyplot` would keep it, and may need a display.
    figure = figure_module.Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for index, (name, label) in enumerate(LABELS.items()):
        for prefix, style in (("", "-"), ("val_", "--")):
            values = curves.get(prefix + name)
            if values:
                axes.plot(
                    range(1, len(values) + 1),
                    values,
                    style,
                    # A line of one value would not be seen.
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
    axes.set(xlabel="epoch", ylabel="nats", ylim=(0, None))
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
    # Below, where no curve is.
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure
