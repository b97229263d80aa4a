"""Makes a page of the site of each notebook, with its outputs.

A hook of mkdocs. The pages are `notebooks/NAME.md`; they are made while the
site is built, and lie in no folder.
"""

import base64
import json
import pathlib

from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).parents[1]
NOTEBOOKS = ROOT / "examples" / "notebooks"
# The site loads nothing from other servers, no badge either.
BADGE, LINK = "[![Open in Colab][badge]][notebook]", "[Open in Colab][notebook]"


def fence(text, language):
    return f"```{language}\n{''.join(text).strip()}\n```\n"


def convert(path):
    """Returns the Markdown of a notebook, and its pictures by their names."""
    parts, pictures = [], {}
    for cell in json.loads(path.read_text())["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source.replace(BADGE, LINK) + "\n")
            continue
        parts.append(fence(source, "python"))
        for output in cell["outputs"]:
            data = output.get("data", {})
            if "image/png" in data:
                name = f"{path.stem}_{len(pictures) + 1}.png"
                pictures[name] = base64.b64decode(data["image/png"])
                parts.append(f"![Output of the cell above]({name})\n")
            else:
                text = output.get("text") or data.get("text/plain", "")
                parts.append(fence(text, "text"))
    return "\n".join(parts), pictures


def on_files(files, config):
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        text, pictures = convert(path)
        contents = {f"{path.stem}.md": text, **pictures}
        for name, content in contents.items():
            files.append(
                File.generated(config, f"notebooks/{name}", content=content)
            )
    return files
