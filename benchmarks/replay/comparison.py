"""What counts as equal, and what is said about it."""

import dataclasses
import json
import sys

import numpy as np

# How far an array may be off, where its largest value is above 1 relative to
# it. A gradient may in each entry be off by a thousandth of it too.
TOLERANCES = {
    "forward": 2e-5,
    "gradients": 2e-5,
    "losses": 1e-4,
    "schedules": 1e-7,
    "final": 3e-4,
    "masks": 1.0,
}
RELATIVE = {"gradients": 1e-3}
# Of the tolerance, for what is the same before and after a training.
SHARE_OF_FIXED = 1e-2
# Of what must be the same, and is not; a number that JSON can hold.
DIFFERENT = 1e300


@dataclasses.dataclass(frozen=True)
class Noise:
    """Entries of an array that are rounding noise, by the specification.

    Attributes:
        entries: Boolean array of the array's shape.
        bound: Float. How far these entries can be off all the same.
        reason: String. Why there is noise. Defaults to that of attention.
    """

    entries: np.ndarray
    bound: float
    reason: str = "the gradient of keys' biases is zero"


@dataclasses.dataclass
class Replay:
    """What a model makes of the arrays of a file.

    Attributes:
        results: Dictionary from group to dictionary from an array's name in the
            file to what the model computes in its place, in the same layout,
            or to a function from the array of the file to its error.
        inputs: Dictionary from the names of the arrays that went in to what
            they are.
        noise: Dictionary from names among the results to `Noise`.
        fixed: Set of names among the results: weights that are not trained.
        figures: Dictionary from group to dictionary from what else was looked
            at to how far it is off, in units of the group's tolerance.
        notes: Dictionary from names of what is not in the file, and therefore
            was not compared, to the reason.
    """

    results: dict = dataclasses.field(default_factory=dict)
    inputs: dict = dataclasses.field(default_factory=dict)
    noise: dict = dataclasses.field(default_factory=dict)
    fixed: set = dataclasses.field(default_factory=set)
    figures: dict = dataclasses.field(default_factory=dict)
    notes: dict = dataclasses.field(default_factory=dict)

    def add(self, group, results):
        self.results.setdefault(group, {}).update(results)

    def leave_out(self, names):
        """Drops results that a file does not have, as others imply them.

        Args:
            names: Their names.
        """
        self.results = {
            group: {k: values[k] for k in values if k not in names}
            for group, values in self.results.items()
        }

    def keep(self, names):
        """Drops results that a file, by its own account, does not have.

        Inputs too: an array that has the name of an input, and of which the
        file's account says nothing, is one that nothing was done with.

        Args:
            names: The names of all its arrays.
        """
        self.results = {
            group: {k: values[k] for k in values if k in names}
            for group, values in self.results.items()
        }
        self.inputs = {k: use for k, use in self.inputs.items() if k in names}

    def add_figures(self, group, figures):
        self.figures.setdefault(group, {}).update(figures)


@dataclasses.dataclass
class Report:
    """What to print, and whether all is well.

    Attributes:
        lines: List of dictionaries, one a group.
        not_compared: Dictionary from name to reason.
        problems: List of strings, what is wrong beside numbers.
    """

    lines: list
    not_compared: dict
    problems: list

    @property
    def passed(self):
        return not self.problems and all(
            line["largest"] <= line["tolerance"] for line in self.lines
        )

    def print(self):
        for line in self.lines:
            print(json.dumps(line))
        print(json.dumps({"not_compared": self.not_compared}))
        for problem in self.problems:
            print(problem, file=sys.stderr)


def compare(arrays, replay, shapes=None):
    """Compares the arrays of a file with what a model makes of them.

    Each array must be a result, or have been an input. All results must be in
    the file, and all that is in the file must be finite.

    Args:
        arrays: Dictionary from name to array, the file.
        replay: `Replay`.
        shapes: Dictionary from the names of the arrays that the file should
            have to their shapes, or `None` if that is not known. Defaults to
            `None`.

    Returns:
        `Report`. `largest` of a line is the error of the worst array, `key`
        its name: the largest absolute difference, divided by the array's
        largest absolute value if that is above 1; of a gradient `g`, each
        difference is divided by `1 + 50 |g|` instead of 1, as 2e-5 of that is
        2e-5 + 1e-3 |g|. Errors of weights that are not trained count a hundred
        times. What must be the same has the error 0 or 1e300 or more.
        In `masks`, the error is the deviation from what is expected in units of
        what chance allows. `compared` counts arrays.
    """
    results = {
        name: values
        for group in replay.results.values()
        for name, values in group.items()
    }
    problems = [
        f"{name} is missing"
        for name in sorted(
            {*(shapes or ()), *results, *replay.inputs} - set(arrays)
        )
    ]
    for name, shape in (shapes or {}).items():
        if name in arrays and arrays[name].shape != shape:
            problems.append(f"{name} does not have shape {shape}")
    for name in sorted(set(arrays) - set(results) - set(replay.inputs)):
        problems.append(f"{name} is unknown, so nothing was compared with it")
    not_compared = {}
    for name, use in sorted(replay.inputs.items()):
        if name not in results:
            not_compared[name] = f"input: {use}"
        if name in arrays and not is_finite(arrays[name]):
            problems.append(f"{name} is not finite")
    for name, noise in replay.noise.items():
        not_compared[name] = (
            f"{noise.entries.sum()} of {noise.entries.size} entries, which are "
            f"rounding noise: {noise.reason}. They are within "
            f"{noise.bound:.1e}, as far as the optimizer can have gone"
        )
    lines = []
    for group in TOLERANCES:
        errors = {}
        for name, values in replay.results.get(group, {}).items():
            if name in arrays:
                errors[name], problem = _error(
                    group, values, arrays[name], replay.noise.get(name)
                )
                if name in replay.fixed:
                    errors[name] /= SHARE_OF_FIXED
                problems += [f"{name} {problem}"] if problem else []
        figures = replay.figures.get(group, {})
        if errors or figures:
            lines.append(_line(group, errors, figures))
    return Report(lines, {**not_compared, **replay.notes}, problems)


def is_finite(array):
    return array.dtype.kind not in "fc" or bool(np.isfinite(array).all())


def _line(group, errors, figures):
    everything = {**errors, **figures}
    key = max(everything, key=everything.get)
    return {
        "group": group,
        "largest": float(everything[key]),
        "tolerance": TOLERANCES[group],
        "key": key,
        "compared": len(errors),
    }


def _error(group, ours, theirs, noise):
    """Returns the error of an array, and a problem beside it or `None`."""
    if callable(ours):
        return ours(theirs), None
    ours = np.asarray(ours)
    if ours.shape != theirs.shape:
        return DIFFERENT, f"has shape {theirs.shape}, not {ours.shape}"
    kind = "i" if theirs.dtype.kind == "u" else theirs.dtype.kind
    if kind != ("i" if ours.dtype.kind == "u" else ours.dtype.kind):
        return DIFFERENT, f"is {theirs.dtype}, not {ours.dtype}"
    if kind != "f":
        same = np.array_equal(ours, theirs)
        return (0.0 if same else DIFFERENT), None
    if not is_finite(theirs):
        return DIFFERENT, "is not finite"
    if not is_finite(ours):
        return DIFFERENT, "is not finite in the model"
    if not theirs.size:
        return 0.0, None
    ours, theirs = ours.astype("float64"), theirs.astype("float64")
    size = np.abs(theirs)
    scale = np.maximum(size.max(), 1.0)
    scale = scale + RELATIVE.get(group, 0.0) / TOLERANCES[group] * size
    difference = np.abs(ours - theirs)
    problem = None
    if noise is not None:
        if difference[noise.entries].max() > noise.bound:
            problem = (
                f"has rounding noise of {difference[noise.entries].max():.1e}, "
                f"above {noise.bound:.1e}"
            )
        difference = np.where(noise.entries, 0.0, difference)
    return float((difference / scale).max()), problem
