from keras_capi.optional_imports import import_optional
from keras_capi.validation import check_number

LABELS = {
    "capi_loss": "CAPI loss",
    "clustering_loss": "clustering loss",
    "target_entropy": "entropy of the targets",
}


def training_curves(history, ceiling=None):
    """Plots the losses and the entropy of the targets over the epochs.

    The CAPI loss cannot fall below the entropy of the targets: the distance
    between the two is what remains to be learned.

    Args:
        history: What `fit` returns, or its `history`, a dictionary of lists.
            Curves that it does not have are left out, validation curves
            (`"val_..."`) are dashed.
        ceiling: Float or `None`. A level to compare the CAPI loss with: the
            entropy of the mean assignment, which is what a predictor reaches
            that ignores the image. Defaults to `None`.

    Returns:
        A `matplotlib.figure.Figure`, to be saved with `savefig`.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If the history has none of the curves.

    Example:

    >>> history = model.fit(images, epochs=10)
    >>> figure = keras_capi.visualization.training_curves(history)
    >>> figure.savefig("training_curves.png")
    """
    figure_module = import_optional("matplotlib.figure", extra="demo")
    if ceiling is not None:
        check_number("ceiling", ceiling)
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
    axes.legend()
    return figure
