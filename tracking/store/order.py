"""The order in which the ids of a calculation were given, against the one in which they stand in its run file."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any

from tracking.store.finished import Finished
from tracking.store.places import Places


class Order:
    """Turns positions in the one into positions in the other; mostly they are the same, and that costs nothing.

    Args:
        n: how many ids were given.
        in_file: for each given one its position in the file; None: the same.
    """

    def __init__(self, n: int, in_file: Sequence[int] | None = None) -> None:
        self._n = n
        self._in_file = None if in_file is None else array("q", in_file)
        self._as_given = array("q", bytes(8 * n if in_file is not None else 0))
        for given, place in enumerate(self._in_file or ()):
            self._as_given[place] = given

    @property
    def is_same(self) -> bool:
        """Whether the two are the same."""
        return self._in_file is None

    def in_file(self, position: int) -> int:
        """Where the id that was given at this position stands in the file."""
        return position if self._in_file is None else self._in_file[position]

    def as_given(self, place: int) -> int | None:
        """Where the id at this place in the file was given; None if it was not: it came later."""
        if place >= self._n:
            return None
        return place if self._in_file is None else self._as_given[place]

    def runs(self, finished: Finished) -> Iterator[range]:
        """The finished ones, as ranges of positions as they were given; ascending."""
        if self._in_file is None:
            for run in finished.runs():
                if run.start < self._n:
                    yield range(run.start, min(run.stop, self._n))
            return
        given = Finished(self._n)
        given.add([position for position, place in enumerate(self._in_file) if place in finished])
        yield from given.runs()


def order_of(given: Sequence[Any], recorded: Sequence[Any]) -> Order:
    """Compare ids as they were given with those that stand in the file, in another order.

    Raises:
        LookupError: they are not the same ids.
    """
    places = Places(recorded)
    in_file = [place for place in map(places.position, given) if place is not None]
    if not len(given) == len(in_file) == len(recorded):
        raise LookupError
    return Order(len(given), in_file)
