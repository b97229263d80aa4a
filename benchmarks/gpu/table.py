"""The results as text in Markdown."""

COLUMNS = (
    "code",
    "size",
    "precision",
    "images/s",
    "of the peak",
    "peak, TFLOP/s",
    "memory, GiB",
    "first step, s",
    "first loss",
    "last loss",
)
COMPILED = {"off": " eager", "on": " compiled", "auto": ""}


def _row(values):
    return "| " + " | ".join(values) + " |"


def _training_row(result):
    side = "authors" if result["side"] == "authors" else "keras-capi"
    code = f"{side}, {result['backend']}{COMPILED[result['compile']]}"
    start = [code, result["size"], result["precision"]]
    if "failure" in result:
        blank = [""] * (len(COLUMNS) - len(start) - 1)
        return _row([*start, result["failure"], *blank])
    return _row(
        [
            *start,
            f"{result['images_per_s']:.1f}",
            f"{result['utilisation']:.1%}",
            f"{result['peak_tflop_per_s']:.2f}",
            f"{result['peak_memory_gib']:.2f}",
            f"{result['first_step_s']:.1f}",
            *(f"{loss:.4f}" for loss in result["losses"]),
        ]
    )


def make_table(parities, trainings, options):
    """Returns the report.

    Args:
        parities: List of dictionaries, of `run_parity`.
        trainings: Likewise, of `run_training`.
        options: The parsed command line.
    """
    done = [result for result in trainings if "failure" not in result]
    devices = sorted({result["device"] for result in done})
    lines = [
        f"Device: {'; '.join(devices) or 'none that worked'}",
        f"Versions: {done[0]['versions'] if done else 'not known'}",
        f"Steps: {options.steps} of {options.batch_size} images of "
        f"{options.image_size} px, {options.clusters} clusters",
        "",
        _row(["parity with the authors' numbers", "backend", ""]),
        _row(["---"] * 3),
    ]
    lines += [
        _row(
            [
                result["method"],
                result["backend"],
                "failed: " + result["failure"]
                if "failure" in result
                else "passed",
            ]
        )
        for result in parities
    ]
    lines += ["", _row(COLUMNS), _row(["---"] * len(COLUMNS))]
    lines += [_training_row(result) for result in trainings]
    return "\n".join(lines) + "\n"
