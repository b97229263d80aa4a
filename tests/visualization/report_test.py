import base64
import collections
import html.parser
import io
import re

import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_dino
from helpers import make_images
from helpers import make_mae
from helpers import make_model
from helpers import make_vit
from PIL import Image

import keras_capi
from keras_capi.visualization import write_report
from keras_capi.visualization.report import NUM_SHOWN
from keras_capi.visualization.report_pictures import NUM_ATOMS

IMAGES = make_images(12, 16, 24)
# The image, three maps of it, and the image again beside what is drawn of it.
PICTURES = NUM_SHOWN * (4 + (1 + NUM_ATOMS) + (1 + 1 + 3))


@pytest.fixture(scope="module")
def model():
    return make_model()


class Page(html.parser.HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.headings, self.pictures, self.links = [], [], []
        self.texts = collections.defaultdict(list)
        self.open = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.open.append((tag, attributes.get("class") or ""))
        if tag == "img":
            self.pictures.append(attributes["src"])
            assert len(attributes["alt"]) > 6
        self.links += [v for k, v in attributes.items() if k in ("src", "href")]

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        if not data.strip() or not self.open:
            return
        tag, _ = self.open[-1]
        if tag == "h2":
            self.headings.append(data)
        for _, name in self.open:
            self.texts[name.split(" ")[0]].append(" ".join(data.split()))


@pytest.mark.parametrize("kind", ["dictionary", "file", None])
def test_page(kind, model, tmp_path):
    history = None
    if kind == "dictionary":
        history = {"capi_loss": [3.0, 2.0], "health_usage_share": [0.5]}
    if kind == "file":
        history = tmp_path / "history.csv"
        # The last row is cut off.
        history.write_text("epoch,capi_loss,health\n0,3.0,\n1,2.0,1\n2")
    path = tmp_path / "new" / "report.html"
    write_report(path, model, IMAGES, history=history)
    page = Page(path)
    headings = ["Health", "Features", "Attention", "Prototypes", "Settings"]
    assert page.headings == (["Training"] if kind else []) + headings
    num_clusters = model.clustering.num_clusters
    assert len(page.pictures) == PICTURES + num_clusters
    # One file that needs no other.
    assert page.links == page.pictures
    for source in page.pictures:
        head, _, encoded = source.partition(",")
        assert head == "data:image/png;base64"
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as picture:
            assert np.asarray(picture).std() > 0
    assert ("<svg" in page.source) == bool(kind)
    # The colours of the page, dark or light.
    assert ("currentColor" in page.source) == bool(kind)


@pytest.mark.parametrize(
    ("make", "history", "heading", "columns", "words"),
    [
        (
            make_mae,
            {"pixel_loss": [1.0, 0.5]},
            ["Reconstructions"],
            1 + 2,
            ["last pixel loss 0.5", "error of the pixels"],
        ),
        (
            make_dino,
            {"dino_loss": [2.0, 1.5], "target_entropy": [2.0, 1.04]},
            [],
            0,
            ["last DINO loss 1.5", "prototypes 8", "1.04 nats", "0.5"],
        ),
    ],
    ids=["mae", "dino"],
)
def test_other_methods_show_what_they_have(
    make, history, heading, columns, words, tmp_path
):
    path = tmp_path / "report.html"
    model = make()
    write_report(path, model, IMAGES, history=history)
    page = Page(path)
    assert page.headings == [
        *("Training", "Health", "Features"),
        *heading,
        "Settings",
    ]
    assert len(page.pictures) == NUM_SHOWN * (3 + 1 + NUM_ATOMS + columns)
    text = " ".join(re.sub("<[^>]*>", " ", page.source).split())
    for part in (f"method {type(model).__name__}", *words):
        assert part in text
    for part in ("CAPI", "cluster"):
        assert part not in text


@pytest.mark.parametrize("channels", [1, 4])
def test_images_of_other_channels(channels, tmp_path):
    """Their pictures, patches of clusters and reconstructions, too."""
    shape = (16, 16, channels)
    images = make_images(12, channels=channels)
    for model in (
        make_mae(make_vit(image_shape=shape)),
        make_model(make_backbone(image_shape=shape)),
    ):
        path = tmp_path / "report.html"
        # Three colours of four bands, too.
        for pictures in (None, np.zeros((12, 16, 16, 3), "uint8")):
            write_report(path, model, images, pictures)
            assert Page(path).pictures


def test_settings_and_versions(tmp_path):
    model = make_model()
    model.fit(IMAGES, batch_size=6, verbose=0)
    settings = {
        "images": "photos & more",
        "training": {"steps": 1234},
        "data": {"scale": [0.6, 1.0]},
    }
    path = tmp_path / "report.html"
    history = {"capi_loss": [3.0]}
    write_report(path, model, IMAGES, history=history, settings=settings)
    tables = " ".join(Page(path).texts["tables"])
    for text in (
        "run images photos & more",
        "training steps 1234",
        "[0.6, 1.0]",
        f"keras-capi {keras_capi.__version__}",
        f"Keras {keras.version()}",
        keras.backend.backend(),
    ):
        assert text in tables
    assert "training steps</dt><dd>2<" in path.read_text(encoding="utf-8")


def test_the_verdict_of_a_collapsed_model(tmp_path):
    model = make_model()
    # All patches alike, whatever the image.
    for block in model.teacher.encoder.blocks:
        for dense in (block.attention.output_projection, block.mlp_output):
            dense.kernel.assign(0.0 * dense.kernel)
    embedding = model.teacher.encoder.patch_embedding
    embedding.kernel.assign(0.0 * embedding.kernel)
    embedding.bias.assign(1.0 + embedding.bias)
    path = tmp_path / "report.html"
    write_report(path, model, IMAGES)
    verdict = " ".join(Page(path).texts["verdict"])
    assert verdict.startswith("Not healthy: all patches have nearly the same")
    assert "What usually helps: a lower learning rate" in verdict


def test_shows_images_of_all_classes(model, tmp_path):
    """Images come class by class, in the order of their folders."""
    shades = np.repeat(np.arange(6), 8) * 40
    pictures = np.tile(
        shades[:, None, None, None].astype("uint8"), (1, 16, 16, 3)
    )
    path = tmp_path / "report.html"
    write_report(path, model, make_images(48), pictures)
    shown = set()
    for source in Page(path).pictures[: 4 * NUM_SHOWN : 4]:
        encoded = source.partition(",")[2]
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as picture:
            shown.add(picture.getpixel((0, 0))[0])
    assert shown == set(shades.tolist())


@pytest.mark.parametrize("count", [1, 4])
def test_few_images(count, model, tmp_path):
    path = tmp_path / "report.html"
    write_report(path, model, IMAGES[:count])
    page = Page(path)
    assert f"images looked at</dt><dd>{count}<" in page.source
    assert "Prototypes" in page.headings


def test_no_images(model, tmp_path):
    with pytest.raises(ValueError, match="`images` must be one or more"):
        write_report(tmp_path / "a.html", model, IMAGES[:0])
    assert not list(tmp_path.iterdir())


def test_models_of_another_kind(tmp_path):
    for other in (make_vit(), keras.Sequential()):
        with pytest.raises(ValueError, match="one of `keras_capi.methods`"):
            write_report(tmp_path / "a.html", other, IMAGES)
    assert not list(tmp_path.iterdir())


def test_names_that_are_not_utf_8(model, tmp_path):
    path = tmp_path / "report.html"
    write_report(path, model, IMAGES, settings={"images": "a\udcffb"})
    assert r"a\udcffb" in path.read_text(encoding="utf-8")


def test_bad_arguments_are_found_before_the_work(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    with pytest.raises(ValueError, match="Received: 3 and 12"):
        write_report(tmp_path / "a.html", None, IMAGES, IMAGES[:3])
    # They would be drawn white.
    sixteen_bits = np.full(IMAGES.shape, 3000, "uint16")
    monkeypatch.delattr("keras_capi.visualization.report.model_health")
    with pytest.raises(ValueError, match="uint8, or floats in .*uint16"):
        write_report(tmp_path / "a.html", make_model(), IMAGES, sixteen_bits)
    for folder in (tmp_path, "~"):
        with pytest.raises(ValueError, match="`path` must be a file"):
            write_report(folder, None, IMAGES)


@pytest.mark.parametrize("row", ["0,1,text", "0,1,2,3"])
def test_damaged_histories(row, model, tmp_path):
    path = tmp_path / "history.csv"
    path.write_text(f"epoch,loss,capi_loss\n{row}\n")
    with pytest.raises(ValueError, match="`history` must be a file.*ory.csv"):
        write_report(tmp_path / "a.html", model, IMAGES, history=path)
    assert not (tmp_path / "a.html").exists()
