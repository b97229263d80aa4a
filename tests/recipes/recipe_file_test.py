"""What a recipe's file may hold, and how its values are read."""

import pathlib

import pytest

from keras_capi.recipes import load_recipe
from keras_capi.recipes.recipe_file import read_recipe_file
from keras_capi.recipes.recipe_file import write_recipe_file


def read(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_recipe_file(path)


@pytest.mark.parametrize(
    "text",
    ["2024", "1e3", "007", "12:30", "yes", "2024-05-01", "1.10", "0x1f"],
)
def test_paths_stay_text(tmp_path, text):
    expected = text.strip("'")
    assert read(tmp_path, f"images: {text}") == {"images": expected}
    both = read(tmp_path, f"images: [{text}, b]")
    assert both == {"images": [expected, "b"]}
    assert load_recipe("demo", [f"images={text}"])["images"] == expected
    settings = load_recipe("demo", [f"images=[{text}, b]"])
    assert settings["images"] == [expected, "b"]
    # As written by the package, too.
    path = tmp_path / "written.yaml"
    write_recipe_file(path, {"images": expected}, "# Heading\n")
    assert read_recipe_file(path) == {"images": expected}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-3", 1e-3),
        ("-2E5", -2e5),
        (".5", 0.5),
        ("3", 3),
        ("'1e-3'", "1e-3"),
        ('"12"', "12"),
        ("1e-3m", "1e-3m"),
        ("[1e-2, .25]", [0.01, 0.25]),
        ("null", None),
    ],
)
def test_numbers_and_text(tmp_path, text, expected):
    value = read(tmp_path, f"a: {{b: {text}}}")["a"]["b"]
    assert value == expected and type(value) is type(expected)
    path = tmp_path / "written.yaml"
    write_recipe_file(path, {"a": {"b": expected}}, "")
    assert read_recipe_file(path) == {"a": {"b": expected}}


BOMB = "a: &a [1, 1]\n" + "".join(
    f"{name}: &{name} [*{former}, *{former}]\n"
    for former, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "aliases are not taken"),
        ("a: 1\nb: *c", "aliases"),
        ("a: {b: 1, b: 2}", "two of b"),
        ("a: [1", "expected ',' or"),
        ("a: !!python/object:os.system {}", "could not determine"),
        ("a: " + 5000 * "[", "recursion"),
        (b"\xff\xfe\x00", "recipe.yaml"),
        (b"a: \x00", "recipe.yaml"),
        ("a: 1\n---\nb: 1", "single document"),
        ("a: " + 10_000_000 * " ", "smaller than"),
        ("a: " + 9999 * "1", "recipe.yaml"),
        ("", "sections"),
        ("- a", "sections"),
    ],
    ids=range(13),
)
def test_damaged_and_hostile_files_are_one_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=message) as error:
        read(tmp_path, text)
    assert "\n" not in str(error.value)
    assert str(tmp_path / "recipe.yaml") in str(error.value)


def test_every_recipe_of_the_package_is_read_the_same(tmp_path):
    folder = pathlib.Path(load_recipe.__code__.co_filename).parent
    for path in folder.glob("*.yaml"):
        recipe = read_recipe_file(path)
        write_recipe_file(tmp_path / path.name, recipe, "")
        assert read_recipe_file(tmp_path / path.name) == recipe


def test_what_is_written_can_be_read(tmp_path, monkeypatch):
    """Also thousands of files, of which a run must resume."""
    path = tmp_path / "recipe.yaml"
    recipe = {"images": [f"{500 * 'a'}/{index}.png" for index in range(2500)]}
    write_recipe_file(path, recipe, "# Heading\n")
    assert path.stat().st_size > 1_000_000
    assert read_recipe_file(path) == recipe
    monkeypatch.setattr("keras_capi.recipes.recipe_file.MAX_BYTES", 9999)
    with pytest.raises(ValueError, match="smaller than 9,999.*list their fold"):
        write_recipe_file(tmp_path / "other.yaml", recipe, "")
    assert not (tmp_path / "other.yaml").exists()
