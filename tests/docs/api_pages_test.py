"""The API pages: all that is public is there, with signature and text."""

import html
import importlib
import inspect
import pathlib
import re

import keras
import pytest

ROOT = pathlib.Path(__file__).parents[2]
# The modules that `keras_capi` shows: not all that happen to be imported.
MODULES = re.findall(
    r"^from keras_capi import (\w+)",
    (ROOT / "keras_capi" / "__init__.py").read_text(),
    re.MULTILINE,
)

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "jax",
    reason="The site does not depend on the backend: once is enough.",
)


def public_entries():
    """Returns all public functions and classes by their names."""
    entries = {}
    for module in MODULES:
        if module == "models":
            # A shelf of names that are at home elsewhere.
            continue
        name = f"keras_capi.{module}"
        package = importlib.import_module(name)
        for part in package.__all__:
            entries[f"{name}.{part}"] = getattr(package, part)
    return entries


def own_members(cls):
    """Returns the public members that classes of the package describe."""
    members = {}
    for base in cls.__mro__:
        if base.__module__.startswith("keras_capi"):
            for name, value in vars(base).items():
                members.setdefault(name, value)
    return {
        name: value
        for name, value in members.items()
        if not name.startswith("_")
        and (callable(value) or hasattr(value, "__get__"))
        and value.__doc__
    }


def plain(text):
    """Returns the words of Markdown or HTML, and where list items begin."""
    text = re.sub(r"<li\b[^>]*>|^- ", " • ", text, flags=re.MULTILINE)
    text = html.unescape(re.sub(r"<[^>]*>", " ", text))
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"[^\w=.•]+", " ", text).strip()


@pytest.fixture(scope="module")
def shown(site):
    """The HTML below each heading, by the name in it."""
    parts = {}
    for page in (site / "api").glob("*.html"):
        _, *found = re.split(
            r'(?=<h\d id="keras_capi[^"]*" class="doc doc-heading")',
            page.read_text().split("<footer")[0],
        )
        parts.update((re.search(r'id="([^"]*)"', x)[1], x) for x in found)
    return parts


def check_entry(name, value, shown):
    assert name in shown, f"{name} is not on its page"
    text = plain(shown[name])
    function = getattr(value, "__func__", value)  # of a class method
    if callable(function):
        start = f"{name.rpartition('.')[2]} "
        signature = re.search(
            r'<div class="[^"]*doc-signature[^"]*">(.*?)</div>',
            shown[name],
            re.DOTALL,
        )
        assert signature, f"{name} has no signature"
        signature = plain(signature[1]) + " "
        assert signature.startswith(start), name
        for argument in inspect.signature(function).parameters:
            if argument not in ("self", "cls"):
                assert f" {argument}" in signature, f"{name}: {argument}"
    documentation = inspect.cleandoc(value.__doc__)
    assert plain(documentation.split("\n\n")[0]) in text, name
    section = re.search(
        r"^Returns:\n(.*?)(?:\n\n\w|\Z)",
        documentation,
        re.DOTALL | re.MULTILINE,
    )
    if section:
        # In sentences, not as a list of its lines.
        assert plain(inspect.cleandoc(section[1])) in text, name


def test_everything_public_is_on_an_api_page():
    assert len(MODULES) > 10
    for name in public_entries():
        page = ROOT / "docs" / "api" / f"{name.split('.')[1]}.md"
        assert f"::: {name}\n" in page.read_text() + "\n", name


def test_entries_have_signature_and_text(shown):
    entries = public_entries()
    assert len(entries) > 90
    for name, value in entries.items():
        check_entry(name, value, shown)


def test_methods_have_signature_and_text(shown):
    names = []
    for name, cls in public_entries().items():
        if inspect.isclass(cls):
            for part, member in own_members(cls).items():
                check_entry(f"{name}.{part}", member, shown)
                names.append(f"{name}.{part}")
    assert len(names) > 40
    assert "keras_capi.encoders.CAPIBackbone.from_preset" in names
    assert "keras_capi.encoders.CAPIBackbone.enable_lora" in names
