"""The command `evaluate`."""

import json
import pathlib
from typing import Annotated

import keras
import typer

from keras_capi import evaluation
from keras_capi.cli.app import BatchSizeOption
from keras_capi.cli.app import ModelOption
from keras_capi.cli.app import WhiteLevelOption
from keras_capi.cli.app import split_names
from keras_capi.cli.labelled_folders import load_classes
from keras_capi.cli.labelled_folders import load_masks
from keras_capi.cli.load_model import choose_image_size
from keras_capi.cli.load_model import choose_white_level
from keras_capi.cli.load_model import load_model
from keras_capi.cli.score_table import SCORES
from keras_capi.cli.score_table import score_table
from keras_capi.data.image_loader import ImageLoader
from keras_capi.evaluation.probes.held_out import check_leaves_a_batch
from keras_capi.features.extract_features import extract_features
from keras_capi.paths import as_path
from keras_capi.paths import check_output
from keras_capi.version import __version__

VECTORS = ("global", "average")
# The features that each classification protocol uses.
CLASSIFICATION = {
    "knn": VECTORS,
    "linear": VECTORS,
    "attentive": ("feature_map",),
}
SEGMENTATION = {
    "knn": evaluation.knn_segmentation,
    "logistic": evaluation.logistic_segmentation,
}
CHOICES = (
    "num_neighbors",
    "metric",
    "strength",
    "learning_rate",
    "weight_decay",
)


def evaluate(
    model: ModelOption,
    train: Annotated[
        pathlib.Path,
        typer.Option(
            metavar="FOLDER",
            help="Training images: a subfolder for each class, or any images "
            "with --train-masks.",
        ),
    ],
    test: Annotated[
        pathlib.Path,
        typer.Option(metavar="FOLDER", help="Test images, arranged alike."),
    ],
    train_masks: Annotated[
        pathlib.Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Masks of the training images, to score segmentation: a/b.png "
            "for the image a/b.jpg.",
        ),
    ] = None,
    test_masks: Annotated[
        pathlib.Path | None,
        typer.Option(metavar="FOLDER", help="Masks of the test images."),
    ] = None,
    protocols: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Comma-separated: knn, linear and attentive (probes); with "
            "masks knn and logistic.",
        ),
    ] = "knn",
    ignore_labels: Annotated[
        str,
        typer.Option(
            metavar="LABELS",
            help="Comma-separated mask labels to leave out of the scores.",
        ),
    ] = "255",
    probe_steps: Annotated[
        int,
        typer.Option(
            min=1, metavar="NUMBER", help="Batches to train probes on."
        ),
    ] = 12500,
    probe_batch_size: Annotated[
        int,
        typer.Option(
            min=1, metavar="NUMBER", help="Samples in each of these batches."
        ),
    ] = 128,
    image_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="PIXELS",
            help="Height and width; by default that of the model's training "
            "images, or 224.",
        ),
    ] = None,
    batch_size: BatchSizeOption = 32,
    white_level: WhiteLevelOption = None,
    out: Annotated[
        pathlib.Path | None,
        typer.Option(metavar="FILE", help="JSON file for the scores."),
    ] = None,
):
    """Score the features of a model with labelled images or masks.

    The protocols are those of the CAPI paper: hyper-parameters are chosen on a
    tenth of the training images, never on the test images.
    """
    if (train_masks is None) != (test_masks is None):
        raise ValueError(
            "--train-masks and --test-masks must be given together. "
            "Received: one of them"
        )
    if out is not None:
        out = as_path(out, "--out")
        check_output("--out", out)
    settings = {
        "model": model,
        "train": str(train),
        "test": str(test),
        "keras_capi_version": __version__,
        "backend": keras.backend.backend(),
    }
    is_segmentation = train_masks is not None
    names = split_names(
        "--protocols",
        protocols,
        tuple(SEGMENTATION if is_segmentation else CLASSIFICATION),
    )
    labels = _split_integers(ignore_labels)
    backbone, _ = load_model(model)
    size = choose_image_size(backbone, image_size)
    white_level = choose_white_level(model, white_level)
    settings |= {
        "image_size": size,
        "batch_size": batch_size,
        "white_level": white_level,
    }
    if is_segmentation:
        settings |= {
            "train_masks": str(train_masks),
            "test_masks": str(test_masks),
            "ignore_labels": labels,
        }
        data = load_masks(
            (train, train_masks), (test, test_masks), size, white_level
        )
        features = _extract(backbone, data, ("feature_map",), size, batch_size)
        scores = _score_segmentation(names, features, data, labels)
    else:
        settings |= {
            "probe_steps": probe_steps,
            "probe_batch_size": probe_batch_size,
        }
        data = load_classes(train, test, size, white_level)
        if names != ["knn"]:
            # Before the features, which take long.
            check_leaves_a_batch(
                "--probe-batch-size", probe_batch_size, len(data[0][1])
            )
        wanted = tuple(
            dict.fromkeys(x for name in names for x in CLASSIFICATION[name])
        )
        features = _extract(backbone, data, wanted, size, batch_size)
        scores = _score_classification(
            names, features, data, probe_steps, probe_batch_size
        )
    print(score_table(scores))
    if out is not None:
        for name, (images, _) in zip(("train", "test"), data, strict=True):
            settings[f"num_{name}_images"] = len(images)
        text = json.dumps({**settings, "scores": scores}, indent=2)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text + "\n")
        print(f"Wrote {out}")


def _split_integers(value):
    try:
        return [int(part) for part in value.split(",") if part.strip()]
    except ValueError as error:
        raise ValueError(
            "--ignore-labels must be integers, separated by commas. "
            f"Received: {value}"
        ) from error


def _extract(backbone, data, names, image_size, batch_size):
    """Returns a dictionary of features for each pair of images and labels."""
    return [
        extract_features(
            backbone,
            ImageLoader(
                images,
                image_size,
                # They already have this size.
                crop_ratio=1.0,
                patch_size=backbone.divisor,
                batch_size=batch_size,
            ),
            names,
        )[1]
        for images, _ in data
    ]


def _score_classification(names, features, data, num_steps, batch_size):
    (train, test), ((_, train_labels), (_, test_labels)) = features, data
    scores = []
    for protocol in names:
        sources = CLASSIFICATION[protocol]
        if protocol == "knn":
            results = {
                source: evaluation.knn_classification(
                    train[source], train_labels, test[source], test_labels
                )
                for source in sources
            }
        else:
            results = evaluation.probe_classification(
                {source: train[source] for source in sources},
                train_labels,
                {source: test[source] for source in sources},
                test_labels,
                num_steps=num_steps,
                batch_size=batch_size,
            )
        scores += [
            _select(protocol, source, result)
            for source, result in results.items()
        ]
    return scores


def _score_segmentation(names, features, data, ignore_labels):
    (train, test), ((_, train_masks), (_, test_masks)) = features, data
    return [
        _select(
            protocol,
            "feature_map",
            SEGMENTATION[protocol](
                train["feature_map"],
                train_masks,
                test["feature_map"],
                test_masks,
                tuple(ignore_labels),
            ),
        )
        for protocol in names
    ]


def _select(protocol, source, result):
    """Returns scores and choices in a form that JSON can hold."""
    return {
        "protocol": protocol,
        "features": source,
        **{name: result[name] for name in SCORES if name in result},
        "chosen": {name: result[name] for name in CHOICES if name in result},
    }
