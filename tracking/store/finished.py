"""Which items have a result that counts, by position: one byte an item."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_YES = 1


class Finished:
    """A set of positions that costs as much at ten million as it must.

    Args:
        n: so many positions there are at first; it grows.

    Example:
        >>> finished = Finished(6)
        >>> finished.add(range(1, 3)); finished.add([5])
        >>> list(finished.runs()), finished.has_any([2, 4])
        ([range(1, 3), range(5, 6)], True)
    """

    def __init__(self, n: int = 0) -> None:
        self._is = bytearray(n)

    def __contains__(self, position: int) -> bool:
        return position < len(self._is) and self._is[position] == _YES

    def add(self, positions: Sequence[int]) -> None:
        """These are finished."""
        if not positions:
            return
        is_run = isinstance(positions, range) and positions.step == 1
        self._grow(positions[-1] if is_run else max(positions))
        if is_run:
            self._is[positions[0] : positions[-1] + 1] = b"\1" * len(positions)
        else:
            for position in positions:
                self._is[position] = _YES

    def add_new(self, positions: Sequence[int]) -> bool:
        """These are finished, if none of them was, and none is named twice; whether it was so."""
        if any(map(self._is.__getitem__, positions)) or len(set(positions)) < len(positions):
            return False
        for position in positions:
            self._is[position] = _YES
        return True

    def discard(self, position: int) -> None:
        """This one is not."""
        if position in self:
            self._is[position] = 0

    def has_any(self, positions: Sequence[int]) -> bool:
        """Whether any of these is finished."""
        if isinstance(positions, range) and positions.step == 1:
            return self._is.find(_YES, positions.start, positions.stop) >= 0
        return any(position in self for position in positions)

    def left_of(self, positions: Sequence[int]) -> Sequence[int | None]:
        """The same positions with None for those that are finished."""
        return [None if position in self else position for position in positions]

    def runs(self) -> Iterator[range]:
        """Those that are finished, ascending; those side by side in one piece."""
        stop = 0
        while (start := self._is.find(_YES, stop)) >= 0:
            stop = self._is.find(0, start)
            stop = len(self._is) if stop < 0 else stop
            yield range(start, stop)

    def _grow(self, position: int) -> None:
        if position >= len(self._is):
            self._is += bytes(max(position + 1 - len(self._is), len(self._is) // 8))
