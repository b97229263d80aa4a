"""Scores as a table for the terminal."""

SCORES = ("accuracy", "mean_iou", "pixel_accuracy")


def score_table(scores):
    """Returns lines with protocols, features, scores and choices.

    Args:
        scores: List of dictionaries with `"protocol"`, `"features"`, some of
            `SCORES`, the same in all, and `"chosen"`, a dictionary.
    """
    headings = ["protocol", "features"]
    headings += [name for name in SCORES if name in scores[0]]
    rows = [[name.replace("_", " ") for name in [*headings, "chosen"]]]
    for score in scores:
        chosen = ", ".join(
            f"{name.replace('_', ' ')} {value:g}"
            if isinstance(value, int | float)
            else f"{name.replace('_', ' ')} {value}"
            for name, value in score["chosen"].items()
        )
        values = [score[name] for name in headings[2:]]
        cells = [f"{value:.4f}" for value in values]
        rows.append([score["protocol"], score["features"], *cells, chosen])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    )
