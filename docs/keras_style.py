"""Lets mkdocstrings read docstrings in Keras's style.

It knows the sections of Google's style. Keras adds shapes and call
arguments, and has examples that are not indented.
"""

import re

import griffe

SHAPES = re.compile(
    r"^(Call arguments|Inputs|Outputs|Input shape|Output shape):\n"
    r"((?:(?: {4}.*)?\n)+)",
    re.MULTILINE,
)
EXAMPLE = re.compile(r"^>>> .*\n(?:(?!$).*\n?)*", re.MULTILINE)


def to_list(match):
    """Turns `name: text` lines of a section into a list."""
    lines = [line[4:] for line in match[2].splitlines()]
    lines = [re.sub(r"^(\w+): ", r"- **`\1`**: ", line) for line in lines]
    return f"**{match[1]}:**\n\n" + "\n".join(lines).strip() + "\n\n"


def to_block(match):
    """Turns a session of the interpreter into a block of code."""
    return f"```pycon\n{match[0].rstrip()}\n```\n"


class KerasStyle(griffe.Extension):
    """Rewrites all docstrings before they are parsed."""

    def on_object(self, *, obj, **kwargs):
        if obj.docstring:
            text = SHAPES.sub(to_list, obj.docstring.value + "\n")
            obj.docstring.value = EXAMPLE.sub(to_block, text).rstrip()
