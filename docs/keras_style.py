"""Lets mkdocstrings read a package and docstrings in Keras's style.

A function that has the name of its file is imported over the module: griffe
would keep the module. Of docstrings it knows the sections of Google's style.
Keras adds shapes and call arguments, describes what is returned in sentences,
and has examples that are not indented.
"""

import re

import griffe

SHAPES = re.compile(
    r"^(Call arguments|Inputs|Outputs"
    r"|Input shape|Output shape|Input and output shape):\n"
    r"((?:(?: {4}.*)?\n)+)",
    re.MULTILINE,
)
RETURNS = re.compile(r"^(Returns|Yields):\n((?:(?: {4}.*)?\n)+)", re.MULTILINE)
# What is a heading to Keras, and a line of text to griffe.
HEADING = re.compile(r"^(Examples?|References?|Source):$", re.MULTILINE)
EXAMPLE = re.compile(r"^>>> .*\n(?:(?!$).*\n?)*", re.MULTILINE)


def remove_indent(lines):
    return "\n".join(line[4:] for line in lines.splitlines()).strip()


def to_list(match):
    """Turns `name: text` lines of a section into a list."""
    lines = re.sub(
        r"^(\w+): ", r"- **`\1`**: ", remove_indent(match[2]), flags=re.M
    )
    return f"**{match[1]}:**\n\n{lines}\n\n"


def to_text(match):
    """Keeps a section as it is, with a list apart from what is before it."""
    text = remove_indent(match[2])
    text = re.sub(r"\n- ", "\n\n- ", text, count=1)
    return f"**{match[1]}:**\n\n{text}\n\n"


def to_block(match):
    """Turns a session of the interpreter into a block of code."""
    return f"```pycon\n{match[0].rstrip()}\n```\n"


def replace_modules(package):
    """Puts what a package imports in the place of a module of that name."""
    for name, member in list(package.members.items()):
        if member.is_alias or not member.is_module:
            continue
        if package.imports.get(name) == f"{member.path}.{name}":
            package.members[name] = griffe.Alias(
                name, member.members[name], parent=package
            )
        else:
            replace_modules(member)


class KerasStyle(griffe.Extension):
    """Rewrites all docstrings before they are parsed."""

    def on_instance(self, *, obj, **kwargs):
        if obj.docstring:
            text = obj.docstring.value + "\n"
            text = RETURNS.sub(to_text, SHAPES.sub(to_list, text))
            text = HEADING.sub(r"**\1:**", text)
            obj.docstring.value = EXAMPLE.sub(to_block, text).rstrip()

    def on_package(self, *, pkg, loader, **kwargs):
        # All imports, while each module is still in its place.
        loader.resolve_aliases(implicit=True, external=False)
        replace_modules(pkg)
