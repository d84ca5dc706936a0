"""Ids that follow each other in the list of all, without a copy of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

_LONG = 1000  # fewer are copied sooner than described


class IdRun(Sequence[Any]):
    """``ids[start:stop]`` of a list that does not change.

    A copy of a million ids touches each of them twice, when it is made and when it goes; that, and what it costs the
    garbage collector to look through such copies, is a sixth of the master's work where items do nothing.

    >>> run = IdRun(list("abcdef"), 2, 5)
    >>> len(run), list(run), run[0], list(run[1:])
    (3, ['c', 'd', 'e'], 'c', ['d', 'e'])
    """

    __slots__ = ("_ids", "_start", "_stop")

    def __init__(self, ids: list[Any], start: int, stop: int) -> None:
        self._ids = ids
        self._start = start
        self._stop = stop

    def __len__(self) -> int:
        return self._stop - self._start

    def __iter__(self) -> Iterator[Any]:
        ids: Any = iter(self._ids)
        ids.__setstate__(self._start)  # as a copied iterator is put where the original was: no walk from the first
        return islice(ids, len(self))

    def __getitem__(self, index: Any) -> Any:
        where = range(self._start, self._stop)[index]
        if isinstance(where, int):
            return self._ids[where]
        if where.step == 1:
            return IdRun(self._ids, where.start, where.stop)
        return [self._ids[position] for position in where]


def ids_in_run(ids: Sequence[Any], run: range) -> Sequence[Any]:
    """The ids from one position to another, as cheap as can be."""
    if type(ids) is list and len(run) >= _LONG:
        return IdRun(ids, run.start, run.stop)
    return ids[run.start : run.stop]
