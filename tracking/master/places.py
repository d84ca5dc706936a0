"""The places of ids in their order, without an object for each where the ids themselves say it."""

from __future__ import annotations

import operator
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from tracking.master.lazy_mappings import IteratorMapping, LazyMapping

Places = Mapping[Any, int]
_FEW = 100  # so few ids that a dict does


class RangePlaces(Mapping[Any, int]):
    """{id: place} of a range of ids: the range itself knows it.

    >>> places = RangePlaces(range(10, 20))
    >>> places[13], places.get("a"), 20 in places
    (3, None, False)
    """

    def __init__(self, ids: range) -> None:
        self._ids = ids

    def __getitem__(self, id: object) -> int:
        try:
            return self._ids.index(_as_int(id))
        except ValueError:
            raise KeyError(id) from None

    def __contains__(self, id: object) -> bool:
        return self.get(id) is not None

    def __iter__(self) -> Iterator[int]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


def places_of(ids: Sequence[Hashable]) -> Places:
    """{id: its place in this sequence}."""
    run = range_of(ids)
    return {id: place for place, id in enumerate(ids)} if run is None else RangePlaces(run)


def sequence_of(objects: Iterable[Hashable]) -> Sequence[Any]:
    """These ids as a sequence: a range, a tuple and those of a lazily made mapping as they are, all else as a list."""
    if isinstance(objects, LazyMapping | IteratorMapping):
        return objects.ids
    ids = objects.keys() if isinstance(objects, Mapping) and type(objects) is not dict else objects
    return ids if isinstance(ids, range | tuple) else list(ids)


def range_of(ids: Sequence[Any]) -> range | None:
    """The range of the same ids in the same order; None: there is none. Takes some 50 ns an id if there is one."""
    if isinstance(ids, range):
        return ids
    if len(ids) < _FEW or not (type(ids[0]) is type(ids[-1]) is int) or ids[-1] - ids[0] != len(ids) - 1:
        return None
    run = range(ids[0], ids[-1] + 1)
    return run if all(map(operator.eq, ids, run)) and set(map(type, ids)) == {int} else None


def _as_int(id: object) -> int:
    """The int that equals this id; a range finds others only by looking at all.

    Raises:
        ValueError: there is none.
    """
    if type(id) is int:
        return id
    if isinstance(id, int) or hasattr(type(id), "__index__"):
        return operator.index(id)  # type: ignore[arg-type]
    if isinstance(id, float) and id.is_integer():
        return int(id)
    raise ValueError(id)
