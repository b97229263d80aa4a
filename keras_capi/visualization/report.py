import csv
import pathlib
import platform

import keras
import numpy as np

from keras_capi.evaluation.clustering_health import clustering_health
from keras_capi.evaluation.healthy_ranges import health_shares
from keras_capi.evaluation.patch_features import patch_features
from keras_capi.optional_imports import import_optional
from keras_capi.paths import as_path
from keras_capi.validation import check_output
from keras_capi.validation import check_positive_integer
from keras_capi.version import __version__
from keras_capi.visualization.attention_maps import attention_maps
from keras_capi.visualization.dictionary_maps import dictionary_maps
from keras_capi.visualization.feature_pictures import color_clusters
from keras_capi.visualization.feature_pictures import principal_components
from keras_capi.visualization.health_verdict import describe_measures
from keras_capi.visualization.health_verdict import health_verdict
from keras_capi.visualization.map_columns import cluster_maps
from keras_capi.visualization.map_columns import register_columns
from keras_capi.visualization.page_pictures import TEXT_COLOR
from keras_capi.visualization.page_pictures import color_maps
from keras_capi.visualization.page_pictures import join_patches
from keras_capi.visualization.page_pictures import to_data_uri
from keras_capi.visualization.page_pictures import to_svg
from keras_capi.visualization.picture_grid import scale_to_unit
from keras_capi.visualization.prototype_browser import cut_patches
from keras_capi.visualization.prototype_browser import nearest_patches
from keras_capi.visualization.spread_indices import spread_indices
from keras_capi.visualization.training_curves import LABELS
from keras_capi.visualization.training_curves import training_curves

TEMPLATES = pathlib.Path(__file__).parent / "templates"
NUM_SHOWN = 6
NUM_ATOMS = 5
NUM_CLUSTERS = 16


def write_report(
    path,
    model,
    images,
    pictures=None,
    history=None,
    settings=None,
    num_steps=None,
):
    """Writes one HTML page that shows what a CAPI model has learned.

    It says in a sentence whether the model is healthy, or what is wrong and
    what helps, and has the training curves, measures of collapse, principal
    components, clusters, dictionary atoms and attention of some images, the
    patches that each cluster likes best, and the settings and versions. It
    needs no other file and no network, and suits wide and narrow screens.

    Args:
        path: String or path of the page.
        model: `keras_capi.models.CAPI`.
        images: Float array of shape `(samples, height, width, channels)`, as
            the model takes them: at least 8, best some hundreds that were held
            out. Those that are drawn are chosen from all over them.
        pictures: What to draw of them: uint8 array, or floats in [0, 1], of
            shape `(samples, height, width, 3)`. `None` scales `images` to that
            range. Defaults to `None`.
        history: What `fit` returned, its dictionary, the path of a file that
            `keras.callbacks.CSVLogger` wrote, or `None`. Defaults to `None`.
        settings: Dictionary or `None`. How the model was trained, to be listed:
            from name to value, or to a dictionary of such, as in a recipe.
            Defaults to `None`.
        num_steps: Integer or `None`. Steps of the training that `history` is
            of; `None` asks the model's optimizer, if it has one. Defaults to
            `None`.

    Raises:
        ImportError: If Jinja2, matplotlib, Pillow or scikit-learn is not
            installed.
        ValueError: If there are too few images, not a picture for each, or the
            page cannot be written.

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
    if pictures is None:
        pictures = scale_to_unit(images)
    if len(pictures) != len(images):
        raise ValueError(
            "`pictures` must be one for each of `images`. "
            f"Received: {len(pictures)} and {len(images)}"
        )
    images, pictures = np.asarray(images), np.asarray(pictures)
    if num_steps is None and getattr(model, "optimizer", None):
        num_steps = int(model.optimizer.iterations)
    prototypes = _draw_prototypes(model, images, pictures)
    curves = {} if history is None else _read_history(history)
    measures = clustering_health(model, images, min(len(images), 64))
    loss = curves.get("val_capi_loss") or curves.get("capi_loss") or [None]
    shares = health_shares(measures, model.clustering.num_clusters, loss[-1])
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
            curves=_draw_curves(curves, measures, num_steps),
            groups=_draw_maps(model, images[shown], pictures[shown]),
            prototypes=prototypes,
            facts=_facts(model, images, curves, num_steps),
            settings=_sections(settings or {}),
            versions=_versions(),
        )
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def _draw_curves(curves, measures, num_steps):
    if not any(curves.get(name) for name in LABELS):
        return None
    num_epochs = max(len(curves.get(name) or ()) for name in LABELS)
    matplotlib = import_optional("matplotlib", extra="report")
    names = ("text.color", "axes.edgecolor", "axes.labelcolor")
    ticks = ("xtick.color", "ytick.color")
    with matplotlib.rc_context(
        dict.fromkeys((*names, *ticks), TEXT_COLOR) | {"font.size": 11}
    ):
        figure = training_curves(
            curves,
            measures["mean_assignment_entropy"],
            max(1, round(num_steps / num_epochs)) if num_steps else None,
        )
        figure.set_size_inches(6, 4)
        return to_svg(figure)


def _draw_maps(model, images, pictures):
    """Returns groups of rows of (caption, address), a row for each image."""
    features = patch_features(model, images)
    clusters = cluster_maps(model.clustering, features)
    atoms = np.stack(dictionary_maps(features, NUM_ATOMS))
    attention = attention_maps(model.teacher, images)
    components = principal_components(features)
    groups = {
        "features": {
            "components, over all images": components,
            "components, of this image": [
                principal_components([x])[0] for x in features
            ],
            "clusters": color_clusters(clusters),
        },
        "atoms": {
            f"atom {i + 1}": color_maps(atoms[..., i]) for i in range(NUM_ATOMS)
        },
        "attention": {
            "predictor": color_maps(attention["predictor"]),
            **{
                name: color_maps(maps)
                for name, maps in register_columns(
                    attention["registers"]
                ).items()
            },
        },
    }
    return {
        name: [
            [
                (heading, to_data_uri(row))
                for heading, row in zip(("image", *columns), rows, strict=True)
            ]
            for rows in zip(pictures, *columns.values(), strict=True)
        ]
        for name, columns in groups.items()
    }


def _draw_prototypes(model, images, pictures):
    num_clusters = model.clustering.num_clusters
    chosen = spread_indices(num_clusters, NUM_CLUSTERS)
    found = nearest_patches(model, images)
    size = model.student.patch_size
    return [
        (
            int(cluster),
            to_data_uri(
                join_patches(cut_patches(pictures, found[cluster], size), size)
            ),
        )
        for cluster in chosen
    ]


def _facts(model, images, curves, num_steps):
    encoder = model.student.encoder
    facts = {
        "parameters": f"{model.student.count_params():,}",
        "blocks": encoder.num_layers,
        "width": encoder.hidden_dim,
        "patch size": encoder.patch_size,
        "clusters": model.clustering.num_clusters,
        "images looked at": len(images),
    }
    if num_steps:
        facts["training steps"] = f"{num_steps:,}"
    if curves.get("capi_loss"):
        facts["epochs"] = len(curves["capi_loss"])
        facts["last CAPI loss"] = f"{curves['capi_loss'][-1]:.3g}"
    return facts


def _sections(settings):
    """Returns dictionaries of settings by heading, single ones first."""
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


def _read_history(history):
    if isinstance(history, str | pathlib.Path):
        with open(history, newline="") as file:
            rows = list(csv.DictReader(file))
        names = rows[0] if rows else ()
        # A column is empty where a callback did not look.
        return {
            name: [
                float(row[name]) for row in rows if row[name] not in ("", "NA")
            ]
            for name in names
        }
    return getattr(history, "history", history)
