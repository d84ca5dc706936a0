"""Where the ids of items stand in the list of ids that a run file holds."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from tracking.errors import StoreError


class Places:
    """Ids by their positions, and positions by ids; a few bytes an item as long as nobody asks for the second.

    Args:
        ids: that were known when the calculation began; of an open-ended one none.
        more: that came later, in their order.

    Example:
        >>> places = Places(range(100, 200))
        >>> places.position(105), places.positions([105, 106]), places.add("new")
        (5, range(5, 7), 100)
    """

    def __init__(self, ids: Sequence[Any], more: Sequence[Any] = ()) -> None:
        self._ids = ids
        self._index: dict[Hashable, int] | None = None
        self._more = list(more)
        self._index_of_more = {id: position for position, id in enumerate(more, len(ids))}

    def __len__(self) -> int:
        return len(self._ids) + len(self._more)

    def at(self, positions: Sequence[int]) -> Sequence[Any]:
        """The ids at these positions.

        Raises:
            StoreError: there are not so many.
        """
        if isinstance(positions, range) and positions.step == 1 and positions.stop <= len(self._ids):
            return self._ids[positions.start : positions.stop]
        n = len(self._ids)
        try:
            return [self._ids[place] if place < n else self._more[place - n] for place in positions]
        except IndexError:
            raise StoreError(f"it is damaged: it has results of more than its {len(self)} items") from None

    def position(self, id: Hashable) -> int | None:
        """Where this id stands, None if nowhere."""
        found = self._index_of_more.get(id) if self._index_of_more else None
        if found is not None or not self._ids:
            return found
        if isinstance(self._ids, range) and type(id) is int:
            return self._ids.index(id) if id in self._ids else None
        if self._index is None:
            self._index = {id: position for position, id in enumerate(self._ids)}
        return self._index.get(id)

    def positions(self, ids: Sequence[Any], guess: Sequence[int] | None = None) -> Sequence[int]:
        """Where these ids stand; those that stand nowhere are added.

        Args:
            guess: where they probably stand: looked at first, since to look there costs least.
        """
        if guess is not None and len(guess) == len(ids) and _are_equal(self.at(guess), ids):
            return guess
        if len(ids) == 1:
            return (self._position_or_new(ids[0]),)
        found = [self._position_or_new(id) for id in ids]
        start, n = found[0] if found else 0, len(found)
        is_run = n > 0 and found[-1] - start == n - 1 and found == list(range(start, start + n))
        return range(start, start + n) if is_run else found

    def add(self, id: Hashable) -> int:
        """Put a new id at the end; its position."""
        position = self._index_of_more[id] = len(self)
        self._more.append(id)
        return position

    def _position_or_new(self, id: Hashable) -> int:
        position = self.position(id)
        return self.add(id) if position is None else position


def _are_equal(found: Sequence[Any], ids: Sequence[Any]) -> bool:
    return list(found) == list(ids)
