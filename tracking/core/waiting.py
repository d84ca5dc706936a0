"""Items that were given back and want more care than those that were never given out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tracking.core.items import Items

if TYPE_CHECKING:
    from tracking.core.jobs import Job


class Piece(NamedTuple):
    """Some items that are given out together.

    Attributes:
        positions: the items.
        tries: how often they were begun.
        is_alone: they may kill a slave, so nothing else is queued on theirs.
        avoided: the slave that they had better not be given to, None: any will do.
        avoided_until: then any will do.
        turn: their turn comes when all items before this position have had theirs.
        deaths: so many slaves died that had nothing else; only of single items.
        race: jobs on silent slaves that hold these items too, and may still answer; None: there are none.
    """

    positions: Sequence[int]
    tries: int
    is_alone: bool = False
    avoided: int | None = None
    avoided_until: float = 0.0
    turn: int = 0
    deaths: int = 0
    race: list[Job] | None = None


class Waiting:
    """Four queues: suspects go alone, pieces go first, retries last, long items where there is the time for them.

    Their items are set aside in ``Items``. A piece that is not here is either out, or its items are
    finished.

    Args:
        items: the items of the calculation.

    Attributes:
        suspects: may kill their slaves.
        long: single items that outlasted a slave's time.
        outlasted_s: {item that ever did: for so long it was seen to run at least, in seconds}.
    """

    def __init__(self, items: Items) -> None:
        self._items = items
        self.suspects: deque[Piece] = deque()
        self.long: deque[Piece] = deque()
        self.outlasted_s: dict[int, float] = {}
        self._pieces: deque[Piece] = deque()
        self._retries: deque[Piece] = deque()

    def __bool__(self) -> bool:
        return bool(self._pieces or self._retries or self.suspects or self.long)

    @property
    def has_usual(self) -> bool:
        """Whether there is anything but long items."""
        return bool(self._pieces or self._retries or self.suspects)

    def __iter__(self) -> Iterator[Piece]:
        yield from self.long
        yield from self.suspects
        yield from self._pieces
        yield from self._retries

    def put_first(self, piece: Piece) -> None:
        """Give it out before all that is not started."""
        self._items.release(piece.positions, set_aside=True)
        if not self._is_long(piece):
            (self.suspects if piece.is_alone else self._pieces).appendleft(piece)

    def put_last(self, piece: Piece) -> None:
        """Give it out after all that is not started now."""
        self._items.release(piece.positions, set_aside=True)
        if not self._is_long(piece):
            self._retries.append(piece)

    def _is_long(self, piece: Piece) -> bool:
        """If so, it is put where it belongs."""
        is_long = len(piece.positions) == 1 and piece.positions[0] in self.outlasted_s
        if is_long:
            self.long.append(piece)
        return is_long

    def withdraw(self, race: list[Job]) -> list[Piece]:
        """Take out all pieces that jobs of this race hold, too; their items stay set aside."""
        found = [piece for piece in self if piece.race is race]
        if found:
            for queue in (self.long, self.suspects, self._pieces, self._retries):
                rest = [piece for piece in queue if piece.race is not race]
                if len(rest) < len(queue):
                    queue.clear()
                    queue.extend(rest)
        return found

    def next_long(self, has_time: Callable[[float], bool]) -> Piece | None:
        """The next long item for a slave that holds nothing; ``has_time``: whether it has so many seconds and more."""
        for index, piece in enumerate(self.long):
            if has_time(self.outlasted_s[piece.positions[0]]):
                del self.long[index]
                return piece
        return None

    def needed_s(self) -> Iterator[float]:
        """More than how many seconds each of the long items needs."""
        return (self.outlasted_s[piece.positions[0]] for piece in self.long)

    def next_suspect(self) -> Piece | None:
        """The next piece for a slave that holds nothing."""
        return self.suspects.popleft() if self.suspects else None

    def next_untried(self) -> Piece | None:
        """A suspect that no slave was alone with when it died; the last of them, which was longest not looked at."""
        for index in range(len(self.suspects) - 1, -1, -1):
            piece = self.suspects[index]
            if not piece.deaths:
                del self.suspects[index]
                return piece
        return None

    def next_piece(self, slave: int, has_others: bool, now: float) -> Piece | None:
        """The next piece whose turn it is and that this slave may have; ``has_others``: it is not the only one."""
        if self._pieces:
            return self._pieces.popleft()
        for index, piece in enumerate(self._retries):
            is_avoided = has_others and piece.avoided == slave and now < piece.avoided_until
            if not is_avoided:
                return self._taken(index) if self._items.has_started(piece.turn) else None
            if index > 1:
                break
        return None

    def next_wakeups(self, now: float) -> tuple[float, ...]:
        """When the first retry may go to any slave; () if that is over or there is none."""
        until = self._retries[0].avoided_until if self._retries else now
        return (until,) if until > now else ()

    def _taken(self, index: int) -> Piece:
        piece = self._retries[index]
        del self._retries[index]
        return piece
