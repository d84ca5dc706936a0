"""Positions of items as ranges, wherever they follow each other: what can be done with a range is done at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise


def is_run(positions: Sequence[int]) -> bool:
    """Whether they are a range of at least one, in steps of 1."""
    return isinstance(positions, range) and positions.step == 1 and len(positions) > 0


def as_runs(positions: Sequence[int]) -> list[range]:
    """The same positions as ranges."""
    if isinstance(positions, range) and positions.step == 1:
        return [positions] if positions else []
    return list(grouped(positions))


def grouped(positions: Iterable[int]) -> Iterator[range]:
    """The same positions as ranges, in their order, from any number of them."""
    start = stop = -1
    for position in positions:
        if position != stop:
            if stop > start:
                yield range(start, stop)
            start = position
        stop = position + 1
    if stop > start:
        yield range(start, stop)


def merged(runs: Iterable[range]) -> list[range]:
    """The same in fewer ranges, where one begins at the end of that before it."""
    found: list[range] = []
    for run in runs:
        if found and found[-1].stop == run.start:
            found[-1] = range(found[-1].start, run.stop)
        else:
            found.append(run)
    return found


def joined(runs: Sequence[range]) -> Sequence[int]:
    """These runs as one range if they follow each other, else as a tuple."""
    if all(before.stop == after.start for before, after in pairwise(runs)):
        return range(runs[0].start, runs[-1].stop)
    return tuple(chain.from_iterable(runs))
