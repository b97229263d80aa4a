"""The pictures of a report, as far as the method has them."""

import numpy as np

from keras_capi.evaluation.clustered_features import clustered_features
from keras_capi.evaluation.patch_features import patch_features
from keras_capi.optional_imports import import_optional
from keras_capi.visualization.attention_maps import attention_maps
from keras_capi.visualization.dictionary_maps import dictionary_maps
from keras_capi.visualization.feature_pictures import color_clusters
from keras_capi.visualization.feature_pictures import principal_components
from keras_capi.visualization.map_columns import cluster_maps
from keras_capi.visualization.map_columns import register_columns
from keras_capi.visualization.page_pictures import TEXT_COLOR
from keras_capi.visualization.page_pictures import color_maps
from keras_capi.visualization.page_pictures import join_patches
from keras_capi.visualization.page_pictures import to_data_uri
from keras_capi.visualization.page_pictures import to_svg
from keras_capi.visualization.prototype_browser import cut_patches
from keras_capi.visualization.prototype_browser import nearest_patches
from keras_capi.visualization.reconstruction_pictures import (
    reconstruction_pictures,
)
from keras_capi.visualization.spread_indices import spread_indices
from keras_capi.visualization.to_rgb import to_rgb
from keras_capi.visualization.training_curves import curve_labels
from keras_capi.visualization.training_curves import training_curves
from keras_capi.visualization.word_pictures import can_draw_words
from keras_capi.visualization.word_pictures import word_pictures

NUM_ATOMS = 5
NUM_CLUSTERS = 16
NUM_PATCHES = 8


def draw_curves(history, measures, num_steps):
    """Returns the training curves as SVG, or `None` if there are none.

    Args:
        history: `Curves`, of `read_history`.
        measures: Dictionary of the measures of the model.
        num_steps: Integer or `None`. Steps of the training.
    """
    names = curve_labels(history.history)
    if not names:
        return None
    num_epochs = max(history.epochs[name][-1] for name in names)
    matplotlib = import_optional("matplotlib", extra="report")
    texts = ("text.color", "axes.edgecolor", "axes.labelcolor")
    ticks = ("xtick.color", "ytick.color")
    with matplotlib.rc_context(
        dict.fromkeys((*texts, *ticks), TEXT_COLOR) | {"font.size": 11}
    ):
        figure = training_curves(
            history,
            measures.get("mean_assignment_entropy"),
            max(1, round(num_steps / num_epochs)) if num_steps else None,
        )
        figure.set_size_inches(6, 4)
        return to_svg(figure)


def draw_maps(model, images, pictures):
    """Returns groups of rows of (caption, data URI), a row for each image.

    Args:
        model: A model of `keras_capi.methods`.
        images: Float array of shape `(samples, height, width, channels)`.
        pictures: Array of shape `(samples, height, width, channels)`, its
            channels those of the images or not.
    """
    features = patch_features(model, images)
    atoms = np.stack(dictionary_maps(features, NUM_ATOMS))
    groups = {
        "features": {
            "components, over all images": principal_components(features),
            "components, of this image": [
                principal_components([x])[0] for x in features
            ],
        },
        "atoms": {
            f"atom {i + 1}": color_maps(atoms[..., i]) for i in range(NUM_ATOMS)
        },
    }
    if hasattr(model, "clustering"):
        clustered = clustered_features(model, images, features=features)
        clusters = cluster_maps(model.clustering, clustered)
        groups["features"]["clusters"] = color_clusters(clusters)
    if hasattr(model.encoder, "predictor"):
        groups["attention"] = _attention(model.encoder, images)
    if hasattr(model, "predict_pixels"):
        columns = reconstruction_pictures(
            model, images, _of_same_channels(pictures, images)
        )
        columns.pop("image")
        groups["reconstructions"] = columns
    if can_draw_words(model):
        columns = word_pictures(
            model, images, _of_same_channels(pictures, images)
        )
        columns.pop("image")
        groups["words"] = columns
    return {
        name: [
            [
                (heading, to_data_uri(to_rgb(row)))
                for heading, row in zip(("image", *columns), rows, strict=True)
            ]
            for rows in zip(pictures, *columns.values(), strict=True)
        ]
        for name, columns in groups.items()
    }


def _of_same_channels(pictures, images):
    """Returns pictures, or `None` for those of other channels than images.

    Of six bands and a picture in three colours nobody knows which band is
    which, so that predicted bands have no colours: they are drawn by their own.
    """
    *size, channels = np.shape(pictures)
    is_like = size != list(np.shape(images)[:-1]) or (
        channels == np.shape(images)[-1]
    )
    return pictures if is_like else None


def _attention(backbone, images):
    attention = attention_maps(backbone, images)
    # A fused predictor has no attention of its own.
    columns = register_columns(attention.pop("registers"))
    return {
        name: color_maps(maps) for name, maps in (attention | columns).items()
    }


def draw_prototypes(model, images, pictures):
    """Returns pairs of a cluster and its nearest patches, as a data URI.

    Returns no pairs for a model without clusters.

    Args:
        model: A model of `keras_capi.methods`.
        images: Float array of shape `(samples, height, width, channels)`.
        pictures: Array of shape `(samples, height, width, channels)`.
    """
    if not hasattr(model, "clustering"):
        return []
    chosen = spread_indices(model.clustering.num_clusters, NUM_CLUSTERS)
    num_patches = min(NUM_PATCHES, len(images))
    pictures = to_rgb(pictures)
    found = nearest_patches(model, images, num_patches)
    size = model.encoder.patch_size
    return [
        (
            int(cluster),
            to_data_uri(
                join_patches(cut_patches(pictures, found[cluster], size), size)
            ),
        )
        for cluster in chosen
    ]
