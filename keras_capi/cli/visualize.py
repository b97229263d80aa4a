"""The command `visualize`."""

import collections
import pathlib
from typing import Annotated

import numpy as np
import typer
from keras import ops

from keras_capi.cli.app import BatchSizeOption
from keras_capi.cli.app import ImagesArgument
from keras_capi.cli.app import ImageSizeOption
from keras_capi.cli.app import ModelOption
from keras_capi.cli.app import WhiteLevelOption
from keras_capi.cli.app import split_names
from keras_capi.cli.load_model import choose_image_size
from keras_capi.cli.load_model import choose_white_level
from keras_capi.cli.load_model import load_model
from keras_capi.data.image_files import find_images
from keras_capi.data.image_loader import ImageLoader
from keras_capi.evaluation.clustered_features import clustered_features
from keras_capi.layers.norms.imagenet_normalization import ImageNetNormalization
from keras_capi.paths import as_path
from keras_capi.paths import check_output
from keras_capi.visualization.attention_maps import attention_maps
from keras_capi.visualization.feature_pictures import color_clusters
from keras_capi.visualization.feature_pictures import principal_components
from keras_capi.visualization.map_columns import cluster_maps
from keras_capi.visualization.map_columns import register_columns
from keras_capi.visualization.picture_grid import picture_grid
from keras_capi.visualization.spread_indices import spread_indices

MAPS = ("components", "clusters", "predictor", "registers", "prefix")
NUM_CHARACTERS = 60
# Matplotlib's pictures have less than 2 ** 16 pixels along a side.
MOST_ROWS = 250
ATTENTION = ("predictor", "registers", "prefix")


def visualize(
    images: ImagesArgument,
    model: ModelOption,
    out: Annotated[
        pathlib.Path,
        typer.Option(
            metavar="PATH",
            help="Picture (.png) to write, or a folder for one picture per "
            "image.",
        ),
    ],
    show: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Comma-separated: components, clusters, predictor, registers, "
            "prefix (class token and registers). By default all there are.",
        ),
    ] = None,
    num_images: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="NUMBER",
            help="How many images to draw, spread over all of them.",
        ),
    ] = 16,
    image_size: ImageSizeOption = None,
    batch_size: BatchSizeOption = 32,
    white_level: WhiteLevelOption = None,
):
    """Draw what a model sees in images.

    Pictures show the principal components of the patch features as red, green
    and blue, the same for all images; the clusters of the patches, which
    presets do not have; and what predictor, registers and class token attend
    to.
    """
    out = as_path(out, "--out")
    if out.suffix and out.suffix.lower() != ".png":
        raise ValueError(
            f"--out must end in .png, or be a folder. Received: {out}"
        )
    check_output("--out", out, is_folder=not out.suffix)
    names = MAPS if show is None else split_names("--show", show, MAPS)
    backbone, trained = load_model(model)
    has_clusters = hasattr(trained, "clustering")
    if not has_clusters and show is not None and "clusters" in names:
        raise ValueError(
            "--show clusters needs a model with clusters, such as the folder "
            f"of a run. Received: {model}"
        )
    files = find_images(images)
    files = [files[i] for i in spread_indices(len(files), num_images)]
    if out.suffix and len(files) > MOST_ROWS:
        raise ValueError(
            f"--out must be a folder for more than {MOST_ROWS} images, each of "
            f"which is a row of a picture. Received: {out}, {len(files)} images"
        )
    loader = ImageLoader(
        files,
        choose_image_size(backbone, image_size),
        patch_size=backbone.divisor,
        batch_size=batch_size,
        normalization=lambda pixels: pixels,
        white_level=choose_white_level(model, white_level),
    )
    shown, columns = _compute(
        backbone, trained if has_clusters else None, loader, names
    )
    if show is not None and len(columns) == 1:
        raise ValueError(
            f"--show {show} needs a model that has it. Received: {model}"
        )
    if out.suffix:
        out.parent.mkdir(parents=True, exist_ok=True)
        picture_grid(columns).savefig(out)
        print(f"Wrote {len(shown)} images to {out}")
        return
    out.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(shown):
        row = {heading: [column[index]] for heading, column in columns.items()}
        # Numbered, as files in different folders may have the same name. No
        # name of a file may have more than 255 bytes, four for a character.
        stem = pathlib.Path(name).stem[:NUM_CHARACTERS]
        file = f"{index + 1:04}_{stem}.png"
        picture_grid(row).savefig(out / file)
    print(f"Wrote {len(shown)} pictures to {out}")


def _compute(backbone, clustered, loader, names):
    """Returns names of images, and a dictionary of columns to draw.

    Args:
        backbone: Encoder.
        clustered: The model with the clusters, or `None`.
        loader: `keras_capi.data.ImageLoader`.
        names: Sequence of strings. What to draw.
    """
    normalize = ImageNetNormalization(dtype="float32")
    shown, pictures, features = [], [], []
    maps = collections.defaultdict(list)
    for batch_names, pixels in loader:
        inputs = ops.convert_to_numpy(normalize(pixels))
        feature_map = backbone.predict_on_batch(inputs)["feature_map"]
        feature_map = np.asarray(feature_map, "float32")
        if clustered is not None and "clusters" in names:
            targets = clustered_features(
                clustered, inputs, len(inputs), feature_map
            )
            maps["clusters"] += list(
                cluster_maps(clustered.clustering, targets)
            )
        if not set(ATTENTION).isdisjoint(names):
            for name, values in attention_maps(backbone, inputs).items():
                maps[name] += list(values)
        shown += batch_names
        pictures += list(pixels.astype("uint8"))
        features += list(feature_map)
    if not shown:
        raise ValueError(
            "At least one image must be readable; the warning above says what "
            "is wrong with each. Received: none"
        )
    columns = {"image": pictures}
    if "components" in names:
        columns["principal components"] = principal_components(features)
    if maps["clusters"]:
        columns["clusters"] = color_clusters(maps["clusters"])
    if "predictor" in names and maps["predictor"]:
        columns["predictor"] = maps["predictor"]
    for name, title in (("registers", "register"), ("prefix", "prefix")):
        if name in names and maps[name]:
            columns |= register_columns(maps[name], title)
    return shown, columns
