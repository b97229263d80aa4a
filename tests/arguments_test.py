"""Every numeric argument of what is public works, or is refused by its name.

What is public is found by itself, and so are the numeric arguments, by what the
docstrings call them. `public_calls.BASE` has what else each call needs: a new
function or class with a numeric argument fails here until it has a line.
"""

import inspect
import json
import math
import re
import types

import helpers
import keras
import numpy as np
import pytest
from PIL import Image
from public_calls import BASE

import keras_capi

VALUES = (0, -1, 1.5, "3", None, math.nan, 1e9)

# How docstrings begin that describe numbers, or a few of them.
NUMERIC = re.compile(
    r"^ {4}(\w+): (?:"
    r"(?:Integer|Float|(?:Tuple|Sequence) of (?:\w+ )*?(?:integers|floats))\b"
    r"(?! array| tensor)|Tuple `\(|Rows and columns)",
    re.MULTILINE,
)


def find_public():
    """All public functions and classes, by their names."""
    public = {}
    for package, module in vars(keras_capi).items():
        # Those on the shelf `models` are at home elsewhere.
        if not isinstance(module, types.ModuleType) or package == "models":
            continue
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if callable(value):
                public[f"{package}.{name}"] = value
    return public


PUBLIC = find_public()


def numeric_arguments(name):
    """The arguments of a call that its docstring calls numbers."""
    documented = inspect.getdoc(PUBLIC[name]) or ""
    documented = re.split(r"\n(?:Call arguments|Returns):\n", documented)[0]
    described = NUMERIC.findall(documented)
    parameters = inspect.signature(PUBLIC[name]).parameters
    return [argument for argument in described if argument in parameters]


SWEPT = [name for name in PUBLIC if numeric_arguments(name)]


def _make_image_gpt():
    return keras_capi.encoders.ImageGPTEncoder(1, 16, 2, 2, num_colors=8)


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    """What the names in `BASE` stand for."""
    folder = tmp_path_factory.mktemp("images")
    masks = tmp_path_factory.mktemp("segmentation")
    grey = Image.fromarray(np.zeros((8, 8), "uint8"))
    for part in ("a", "b"):
        (folder / part).mkdir()
        grey.convert("RGB").save(folder / part / "0.png")
    for part in ("images", "masks"):
        (masks / part).mkdir()
        grey.save(masks / part / "0.png")
    return {
        "folder": folder,
        "masks": (masks / "images", masks / "masks"),
        "model": helpers.make_model(),
        "mae": helpers.make_mae(),
        "backbone": helpers.make_backbone(),
        "student": helpers.make_backbone(),
        "tokenizer": keras_capi.tokenizers.DALLETokenizer(
            8, hidden_dim=1, num_blocks=1
        ),
        "discrete_vae": keras_capi.methods.DiscreteVAE(
            4, 8, hidden_dim=4, codebook_dim=4
        ),
        "vit": helpers.make_vit(),
        "image_gpt": _make_image_gpt(),
        "image_gpt_model": keras_capi.methods.ImageGPT(_make_image_gpt()),
        # The published one takes long to make.
        "head": keras_capi.layers.DINOHead(4, hidden_dim=8, bottleneck_dim=8),
        "recipe": keras_capi.recipes.load_recipe("demo"),
    }


def fill_in(arguments, stand_ins):
    """The arguments, with what some of the strings stand for."""
    return {
        key: stand_ins.get(value, value) if isinstance(value, str) else value
        for key, value in arguments.items()
    }


def test_the_table_is_up_to_date():
    assert len(PUBLIC) > 80
    assert sorted(BASE) == sorted(SWEPT)


def described_arguments(name, section):
    """What a section of a docstring says of each argument."""
    text = inspect.getdoc(PUBLIC[name]) or ""
    text = text.partition(f"\n{section}:\n")[2].split("\n\n")[0]
    parts = re.split(r"^ {4}(\w+): ", text, flags=re.MULTILINE)[1:]
    texts = [" ".join(part.split()) for part in parts[1::2]]
    return dict(zip(parts[::2], texts, strict=True))


def test_defaults_are_documented():
    required = inspect.Parameter.empty
    signatures = {name: inspect.signature(x) for name, x in PUBLIC.items()}
    undocumented = [
        (name, argument)
        for name in PUBLIC
        for argument, text in described_arguments(name, "Args").items()
        if signatures[name].parameters[argument].default is not required
        and "Defaults to" not in text
    ]
    assert not undocumented


def test_arguments_of_calls_are_documented():
    faults = {}
    for name, layer in PUBLIC.items():
        documented = set(described_arguments(name, "Call arguments"))
        if documented and "call" in vars(layer):
            taken = set(inspect.signature(layer.call).parameters) - {"self"}
            faults[name] = (taken - {"training"}) ^ (documented - {"training"})
    assert len(faults) > 30
    assert not {name: names for name, names in faults.items() if names}


@pytest.mark.skipif(
    keras.backend.backend() != "torch",
    reason="Arguments are checked before the backend has a part in it.",
)
@pytest.mark.parametrize("name", sorted(BASE))
def test_a_bad_number_is_refused_by_its_name(name, stand_ins):
    function = PUBLIC[name]
    base = fill_in(BASE[name], stand_ins)
    function(**base)
    faults = []
    for argument in numeric_arguments(name):
        for value in VALUES:
            try:
                function(**{**base, argument: value})
            except (TypeError, ValueError) as error:
                if not re.search(rf"\b{argument}\b", str(error)):
                    faults.append((argument, value, error))
            except Exception as error:
                faults.append((argument, value, error))
    assert not faults


def as_numpy(value):
    """The same numbers, as what was computed from an array has them."""
    if isinstance(value, list | tuple):
        return type(value)(map(as_numpy, value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return np.array(value)[()]


@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="Only the others refuse some."
)
@pytest.mark.parametrize("name", sorted(BASE))
def test_numbers_of_numpy(name, stand_ins):
    """Such as `num_classes=labels.max() + 1`."""
    function = PUBLIC[name]
    base = fill_in(BASE[name], stand_ins)
    parameters = inspect.signature(function).parameters
    values = {
        argument: base.get(argument, parameters[argument].default)
        for argument in numeric_arguments(name)
    }
    if values.get("seed", 0) is None:
        values["seed"] = 3
    made = function(**{**base, **{k: as_numpy(x) for k, x in values.items()}})
    if isinstance(made, keras.Layer):
        json.dumps(keras.saving.serialize_keras_object(made))
