"""What the times of two programs that ran in turns say."""

import statistics


def quartiles(values):
    """Returns lower quartile, median and upper quartile."""
    values = list(values)
    if len(values) == 1:
        return values * 3
    return statistics.quantiles(values, n=4, method="inclusive")


def ratios_by_round(ours, theirs):
    """Divides the medians of each round.

    What slows the machine down for a while slows both sides of a round, so
    ratios scatter less than times.

    Args:
        ours: List of a list of seconds for each round.
        theirs: The same of the other side.

    Returns:
        List of a ratio for each round.
    """
    return [
        statistics.median(our) / statistics.median(their)
        for our, their in zip(ours, theirs, strict=True)
    ]


def summary(ratios):
    """Returns the median of ratios, and the least and the largest."""
    return [
        round(x, 3)
        for x in (statistics.median(ratios), min(ratios), max(ratios))
    ]
