import base64
import html.parser
import io

import pytest
from helpers import make_images
from helpers import make_model
from PIL import Image

from keras_capi.visualization import write_report

IMAGES = make_images(12, 16, 24)


class Page(html.parser.HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.headings, self.pictures, self.links = [], [], []
        self.tag = None
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.tag = tag
        attributes = dict(attributes)
        if tag == "img":
            self.pictures.append(attributes["src"])
            assert attributes["alt"]
        self.links += [v for k, v in attributes.items() if k in ("src", "href")]

    def handle_data(self, data):
        if self.tag == "h2" and data.strip():
            self.headings.append(data)


@pytest.mark.parametrize("kind", ["dictionary", "file", None])
def test_page(kind, tmp_path):
    model = make_model()
    history = None
    if kind == "dictionary":
        history = {"capi_loss": [3.0, 2.0], "health_usage_share": [0.5]}
    if kind == "file":
        history = tmp_path / "history.csv"
        history.write_text("epoch,capi_loss,health\n0,3.0,\n1,2.0,1\n")
    path = tmp_path / "new" / "report.html"
    write_report(path, model, IMAGES, history=history)
    page = Page(path)
    headings = ["Health", "Features", "Attention", "Prototypes"]
    if kind:
        headings = ["Training", *headings]
    assert page.headings == headings
    assert len(page.pictures) == len(headings) - 1
    # One file that needs no other.
    assert page.links == page.pictures
    for source in page.pictures:
        head, _, encoded = source.partition(",")
        assert head == "data:image/png;base64"
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as picture:
            assert min(picture.size) > 200


def test_too_few_images(tmp_path):
    with pytest.raises(ValueError, match="an image for each of"):
        write_report(tmp_path / "a.html", make_model(), IMAGES[:4])
    assert not list(tmp_path.iterdir())
