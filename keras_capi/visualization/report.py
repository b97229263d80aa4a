import base64
import csv
import io
import pathlib

import numpy as np

from keras_capi.evaluation.clustering_health import clustering_health
from keras_capi.evaluation.patch_features import patch_features
from keras_capi.optional_imports import import_optional
from keras_capi.version import __version__
from keras_capi.visualization.attention_maps import attention_maps
from keras_capi.visualization.dictionary_maps import dictionary_maps
from keras_capi.visualization.feature_pictures import color_clusters
from keras_capi.visualization.feature_pictures import principal_components
from keras_capi.visualization.map_columns import cluster_maps
from keras_capi.visualization.map_columns import register_columns
from keras_capi.visualization.picture_grid import picture_grid
from keras_capi.visualization.picture_grid import scale_to_unit
from keras_capi.visualization.prototype_browser import prototype_browser
from keras_capi.visualization.training_curves import LABELS
from keras_capi.visualization.training_curves import training_curves

TEMPLATES = pathlib.Path(__file__).parent / "templates"
NUM_ATOMS = 5


def write_report(path, model, images, pictures=None, history=None):
    """Writes one HTML page that shows what a CAPI model has learned.

    It has the training curves, measures of collapse, principal components,
    clusters, dictionary atoms and attention of some images, and the patches
    that each cluster likes best. It needs no other file and no network.

    Args:
        path: String or path of the page.
        model: `keras_capi.models.CAPI`.
        images: Float array of shape `(samples, height, width, channels)`, as
            the model takes them: at least 8, best some hundreds that were held
            out.
        pictures: What to draw of them: uint8 array, or floats in [0, 1], of
            shape `(samples, height, width, 3)`. `None` scales `images` to that
            range. Defaults to `None`.
        history: What `fit` returned, its dictionary, the path of a file that
            `keras.callbacks.CSVLogger` wrote, or `None`. Defaults to `None`.

    Raises:
        ImportError: If Jinja2, matplotlib or scikit-learn is not installed.
        ValueError: If there are too few images.

    Example:

    >>> history = model.fit(images, epochs=10)
    >>> keras_capi.visualization.write_report(
    ...     "report.html", model, held_out_images, history=history
    ... )
    """
    jinja2 = import_optional("jinja2", extra="report")
    if pictures is None:
        pictures = scale_to_unit(images)
    health = clustering_health(model, images, min(len(images), 64))
    figures = {
        "features": _draw_features(model, images[:8], pictures[:8]),
        "attention": _draw_attention(model, images[:8], pictures[:8]),
        "prototypes": prototype_browser(model, images, pictures),
    }
    if history is not None:
        curves = _read_history(history)
        if any(name in curves for name in LABELS):
            ceiling = health["mean_assignment_entropy"]
            figures["curves"] = training_curves(curves, ceiling)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    encoder = model.student.encoder
    page = environment.get_template("report.html").render(
        figures={name: _to_data_uri(x) for name, x in figures.items()},
        health={name: f"{value:.3g}" for name, value in health.items()},
        settings={
            "parameters of the backbone": f"{model.student.count_params():,}",
            "blocks": encoder.num_layers,
            "width": encoder.hidden_dim,
            "patch size": encoder.patch_size,
            "clusters": model.clustering.num_clusters,
            "images in this report": len(images),
        },
        version=__version__,
    )
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def _draw_features(model, images, pictures):
    features = patch_features(model, images)
    clusters = cluster_maps(model.clustering, features)
    atoms = np.stack(dictionary_maps(features, NUM_ATOMS))
    return picture_grid(
        {
            "image": pictures,
            "components, all": principal_components(features),
            "components, each": [
                principal_components([x])[0] for x in features
            ],
            "clusters": color_clusters(clusters),
            **{f"atom {i + 1}": atoms[..., i] for i in range(NUM_ATOMS)},
        }
    )


def _draw_attention(model, images, pictures):
    maps = attention_maps(model.teacher, images)
    return picture_grid(
        {
            "image": pictures,
            "predictor": maps["predictor"],
            **register_columns(maps["registers"]),
        }
    )


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


def _to_data_uri(figure):
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=80)
    encoded = base64.b64encode(picture.getvalue()).decode()
    return f"data:image/png;base64,{encoded}"
