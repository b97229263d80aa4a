"""The site: every page is built and in its menu, every link leads somewhere."""

import html.parser
import json
import pathlib
import re
import urllib.parse

import keras
import pytest

ROOT = pathlib.Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "jax",
    reason="The site does not depend on the backend: once is enough.",
)

# What new users searched for.
QUESTIONS = (
    "resume",
    "progress bar",
    "notebook",
    "plot",
    "summary",
    "licence",
    "license",
    "overfitting",
    "out of memory",
    "gpu",
    "learning rate",
    "collapse",
)


class Links(html.parser.HTMLParser):
    """Collects where a page leads, and what can be led to in it."""

    def __init__(self, page):
        super().__init__()
        self.targets, self.names = [], set()
        self.feed(page.read_text())

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.names.add(attributes.get("id"))
        for name in ("href", "src"):
            if attributes.get(name):
                self.targets.append(attributes[name])


def test_links_lead_somewhere(site):
    pages = {path: Links(path) for path in site.rglob("*.html")}
    assert len(pages) > 25
    for path, links in pages.items():
        for target in links.targets:
            parts = urllib.parse.urlsplit(target)
            if parts.scheme or parts.netloc or path.name == "404.html":
                continue
            place = (path.parent / urllib.parse.unquote(parts.path)).resolve()
            if not parts.path:
                place = path
            assert place.exists(), f"{path.name}: {target}"
            if parts.fragment and place in pages:
                names = pages[place].names
                assert parts.fragment in names, f"{path.name}: {target}"


def test_pages_load_nothing_from_elsewhere(site):
    for path in site.rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|img|link)[^>]*(?:src|href)=\"?(https?:[^\" >]*)",
            path.read_text(),
        )
        assert not loaded, path.name


def test_menu_has_every_page(site):
    menu = (ROOT / "mkdocs.yml").read_text()
    names = [
        page.relative_to(ROOT / "docs").as_posix()
        for page in (ROOT / "docs").rglob("*.md")
    ]
    notebooks = (ROOT / "examples" / "notebooks").glob("*.ipynb")
    names += [f"notebooks/{path.stem}.md" for path in notebooks]
    for name in names:
        assert f": {name}\n" in menu, name


def test_notebooks_show_code_text_and_pictures(site):
    for path in (ROOT / "examples" / "notebooks").glob("*.ipynb"):
        page = (site / "notebooks" / f"{path.stem}.html").read_text()
        cells = json.loads(path.read_text())["cells"]
        outputs = [x for cell in cells for x in cell.get("outputs", [])]
        pictures = [x for x in outputs if "image/png" in x.get("data", {})]
        shown = re.findall(rf'<img[^>]*src="?{path.stem}_\d+\.png', page)
        assert len(shown) == len(pictures)
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        texts = [x for x in outputs if "text" in x]
        blocks = page.count('class="highlight"')
        assert blocks >= len(code) + len(texts)


@pytest.mark.parametrize("words", QUESTIONS)
def test_search_answers(words, site):
    """What people look for has a section of its own, found by its heading."""
    index = json.loads((site / "search" / "search_index.json").read_text())
    sections = [
        entry
        for entry in index["docs"]
        if words in f"{entry['title']} {entry['text']}".lower()
        and not entry["location"].startswith("api/")
    ]
    assert sections
    assert any(len(entry["text"].split()) > 25 for entry in sections)
