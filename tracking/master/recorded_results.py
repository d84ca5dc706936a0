"""Results that are in the run file and nowhere else, as a mapping that reads them when they are asked for.

::

    master's thread:  Record --> run file (committed) --> told
                      _tr_add: counts them; keeps those that the file could not take
    any thread:       result[id], result.items() --> StoredResults --> the file
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, Sequence, ValuesView
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracking.master.status import Status
    from tracking.store.stored_results import StoredResults


class RecordedResults(Mapping[Any, Any]):
    """{id: result} as it stands in a run file; read-only, also when the calculation is over and its slaves are gone.

    Each look reads the results of one job, and keeps them for the next look. Who wants all of them goes over
    ``items()`` or ``values()``: they come in the order in which they were recorded, those of one job at a time.
    Pickled it is a dict.

    Attributes:
        kept: results that are in memory, since the file does not hold them.

    Args:
        stored: reads the file.
        status: knows the items.
        n_recorded: how many results the file holds.
        kept: results that it does not hold.
    """

    def __init__(self, stored: StoredResults, status: Status, n_recorded: int, kept: Mapping[Any, Any]) -> None:
        self._stored = stored
        self._status = status
        self._n_recorded = n_recorded
        self.kept = dict(kept)

    def __getitem__(self, id: Any) -> Any:
        if id in self.kept:
            return self.kept[id]
        position = self._status._tr_positions().get(id)
        if position is None:
            raise KeyError(id)
        try:
            return self._stored.at(position)
        except KeyError:
            raise KeyError(id) from None

    def __contains__(self, id: object) -> bool:
        if id in self.kept:
            return True
        position = self._status._tr_positions().get(id)
        return position is not None and self._status._tr_items.count(position) == 0 and self.get(id, self) is not self

    def __iter__(self) -> Iterator[Any]:
        return (id for id, _ in self._pairs())

    def __len__(self) -> int:
        return self._n_recorded + len(self.kept)

    def items(self) -> ItemsView[Any, Any]:
        """Give all (id, result), read a few jobs at a time."""
        return _Items(self)

    def values(self) -> ValuesView[Any]:
        """Give all results, likewise."""
        return _Values(self)

    def __repr__(self) -> str:
        return f"<{len(self)} results, in the run file>"

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (list(self._pairs()),)

    def _pairs(self) -> Iterator[tuple[Any, Any]]:
        return chain(self.kept.copy().items(), self._stored_pairs())

    def _stored_pairs(self) -> Iterator[tuple[Any, Any]]:
        ids = self._status._tr_ids
        return ((ids[position], result) for position, result in self._stored.among())

    # ---- for the engine

    def _tr_first(self, n: int) -> Iterator[tuple[Any, Any]]:
        """The first ``n`` of all that there are now."""
        kept = self.kept.copy()
        return chain(kept.items(), islice(self._stored_pairs(), max(0, n - len(kept))))

    def _tr_add(self, ids: Sequence[Any], results: Sequence[Any], *, are_recorded: bool) -> None:
        """They have come; those that the file could not take are kept here."""
        if are_recorded:
            self._n_recorded += len(ids)
        else:
            self.kept.update(zip(ids, results, strict=True))


class _Items(ItemsView[Any, Any]):
    _mapping: RecordedResults

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return self._mapping._pairs()


class _Values(ValuesView[Any]):
    _mapping: RecordedResults

    def __iter__(self) -> Iterator[Any]:
        return (result for _, result in self._mapping._pairs())
