import pathlib
import platform

import keras
import numpy as np
from keras import ops

from keras_capi.evaluation.model_health import model_health
from keras_capi.optional_imports import import_optional
from keras_capi.paths import as_path
from keras_capi.paths import check_output
from keras_capi.validation import check_positive_integer
from keras_capi.version import __version__
from keras_capi.visualization.check_pictures import check_pictures
from keras_capi.visualization.health_verdict import describe_measures
from keras_capi.visualization.health_verdict import health_verdict
from keras_capi.visualization.picture_grid import scale_to_unit
from keras_capi.visualization.read_history import read_history
from keras_capi.visualization.report_pictures import draw_curves
from keras_capi.visualization.report_pictures import draw_maps
from keras_capi.visualization.report_pictures import draw_prototypes
from keras_capi.visualization.spread_indices import spread_indices
from keras_capi.visualization.training_curves import curve_labels

TEMPLATES = pathlib.Path(__file__).parent / "templates"
NUM_SHOWN = 6


def write_report(
    path,
    model,
    images,
    pictures=None,
    history=None,
    settings=None,
    num_steps=None,
):
    """Writes one HTML page that shows what a model has learned.

    The page says in plain words whether the model is healthy, or what is wrong
    and what helps. It shows the training curves, measures of collapse,
    principal components and dictionary atoms of some images, and the settings
    and versions; also what a method has in addition: CAPI's clusters,
    attention, and the best patches of each cluster; or the reconstructions of a
    method that predicts pixels. It needs no other files and no network, and
    suits wide and narrow screens.

    Args:
        path: String or path of the page.
        model: A model of `keras_capi.methods`.
        images: Float array of shape `(samples, height, width, channels)`, as
            the model takes them, best some hundred held-out images. Those that
            are drawn are spread over all of them.
        pictures: The images as they are drawn: uint8 array, or floats in [0,
            1], of shape `(samples, height, width, 3)`. `None` scales `images`
            to that range. Defaults to `None`.
        history: What `fit` returned; its dictionary, with a value for each
            epoch; the path of a file that `keras.callbacks.CSVLogger` wrote; or
            `None`. Defaults to `None`.
        settings: Dictionary or `None`. Settings of the training, to list on the
            page: from name to value, or to a dictionary of values, as in a
            recipe. Defaults to `None`.
        num_steps: Integer or `None`. Number of steps of the training in
            `history`. `None` asks the model's optimizer, if it has one.
            Defaults to `None`.

    Raises:
        ImportError: If Jinja2, matplotlib, Pillow or scikit-learn is not
            installed.
        ValueError: If there are no images, if `pictures` does not have one for
            each or has other values, if the model is of another kind, or if
            the page cannot be written.

    Example:

    >>> history = model.fit(images, epochs=10)
    >>> keras_capi.visualization.write_report(
    ...     "report.html", model, held_out_images, history=history
    ... )
    """
    jinja2 = import_optional("jinja2", extra="report")
    path = as_path(path)
    check_output("path", path)
    if num_steps is not None:
        check_positive_integer("num_steps", num_steps)
    if not len(images):
        raise ValueError("`images` must be one or more. Received: none")
    if pictures is None:
        pictures = scale_to_unit(images)
    if len(pictures) != len(images):
        raise ValueError(
            "`pictures` must be one for each of `images`. "
            f"Received: {len(pictures)} and {len(images)}"
        )
    if not hasattr(model, "compute_losses"):
        raise ValueError(
            "`model` must be one of `keras_capi.methods`. "
            f"Received: {type(model).__name__}"
        )
    images, pictures = np.asarray(images), check_pictures(pictures)
    if num_steps is None and getattr(model, "optimizer", None):
        num_steps = int(ops.convert_to_numpy(model.optimizer.iterations))
    # Read once, as it may be a file.
    history = read_history({} if history is None else history)
    curves = history.history
    prototypes = draw_prototypes(model, images, pictures)
    last_logs = {k: x[-1] for k, x in curves.items() if len(x)}
    shares, measures = model_health(model, images, last_logs)
    shown = spread_indices(len(images), NUM_SHOWN)
    page = (
        jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        .get_template("report.html")
        .render(
            verdict=health_verdict(shares),
            measures=describe_measures(shares, measures),
            curves=draw_curves(history, measures, num_steps),
            has_targets=bool(curves.get("target_entropy")),
            groups=draw_maps(model, images[shown], pictures[shown]),
            prototypes=prototypes,
            facts=_facts(model, images, curves, num_steps),
            settings=_sections(settings or {}),
            versions=_versions(),
        )
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    # Names of folders need not be UTF-8.
    path.write_text(page, encoding="utf-8", errors="backslashreplace")


def _facts(model, images, curves, num_steps):
    encoder = model.encoder
    facts = {
        "method": type(model).__name__,
        "parameters": f"{encoder.count_params():,}",
        "blocks": encoder.num_layers,
        "width": encoder.hidden_dim,
        "patch size": encoder.patch_size,
    }
    if hasattr(model, "clustering"):
        facts["clusters"] = model.clustering.num_clusters
    if hasattr(model, "num_prototypes"):
        facts["prototypes"] = model.num_prototypes
    facts["images looked at"] = len(images)
    if num_steps:
        facts["training steps"] = f"{num_steps:,}"
    for name, label in curve_labels(curves).items():
        if name in model.loss_weights:
            facts["epochs"] = len(curves[name])
            facts[f"last {label}"] = f"{curves[name][-1]:.3g}"
    return facts


def _sections(settings):
    """Returns settings grouped by heading, single ones first."""
    single = {k: v for k, v in settings.items() if not isinstance(v, dict)}
    nested = {k: v for k, v in settings.items() if isinstance(v, dict)}
    return {**({"run": single} if single else {}), **nested}


def _versions():
    backend = keras.backend.backend()
    module = import_optional(backend, extra=backend)
    return {
        "keras-capi": __version__,
        "Keras": keras.version(),
        backend: module.__version__,
        "NumPy": np.__version__,
        "Python": platform.python_version(),
        "system": platform.platform(terse=True),
    }
