"""What a slave may have of the items that were given back, and what shows whether its host works."""

from __future__ import annotations

from collections.abc import Sequence

from tracking.core.doubts import Doubts
from tracking.core.items import Items
from tracking.core.lifetimes import Lifetimes
from tracking.core.slaves import Slave, Slaves
from tracking.core.waiting import Piece, Waiting


class GivenBack:
    """Picks the next piece for a slave.

    Args:
        items: the items and their states.
        waiting: the pieces.
        slaves: all slaves.
        lifetimes: know which slaves have the time for what.
        doubts: know which slaves had better have no suspects.
    """

    def __init__(
        self, items: Items, waiting: Waiting, slaves: Slaves, lifetimes: Lifetimes, doubts: Doubts
    ) -> None:
        self._items = items
        self._waiting = waiting
        self._slaves = slaves
        self._lifetimes = lifetimes
        self._doubts = doubts

    def next_for(self, slave: Slave, now: float) -> tuple[Piece, Sequence[int]] | None:
        """A piece, and those of its items that nobody has finished meanwhile, now given out; None: none for it."""
        while True:
            piece = None if slave.jobs else self._long_item(slave, now) or self._suspect(slave)
            if piece is None:
                piece = self._waiting.next_piece(slave.number, self._slaves.usable > 1, now)
            if piece is None:
                return None
            if (found := self._taken(piece, slave, now)) is not None:
                return found

    def next_in_doubt(self, slave: Slave, now: float) -> tuple[Piece, Sequence[int]] | None:
        """The same for a slave whose host is in doubt: first what may show whether it works, and is tried again if not.

        In turn one item that has nothing to do with what died, and one that may not have been what killed: whether it
        is the host, the next items, or the jobs that died, soon something goes that shows it.
        """
        kinds = (self._untouched, self._untried)
        for kind in kinds if slave.host.deaths % 2 else reversed(kinds):
            found = kind(slave, now)
            if found is not None:
                return found
        return self.next_for(slave, now)

    def _untouched(self, slave: Slave, now: float) -> tuple[Piece, Sequence[int]] | None:
        positions = self._items.take_apart()
        return (Piece(positions, 0), positions) if positions else None

    def _untried(self, slave: Slave, now: float) -> tuple[Piece, Sequence[int]] | None:
        while not self._are_left_to_others(slave) and (piece := self._waiting.next_untried()) is not None:
            if (found := self._taken(piece, slave, now)) is not None:
                return found
        return None

    def _taken(self, piece: Piece, slave: Slave, now: float) -> tuple[Piece, Sequence[int]] | None:
        piece = self._cut(piece, self._lifetimes.room(slave, now))
        positions = self._items.take_these(piece.positions)
        return (piece, positions) if positions else None

    def _long_item(self, slave: Slave, now: float) -> Piece | None:
        return self._waiting.next_long(lambda needed_s: self._lifetimes.has_time(slave, needed_s, now))

    def _suspect(self, slave: Slave) -> Piece | None:
        return None if self._are_left_to_others(slave) else self._waiting.next_suspect()

    def _are_left_to_others(self, slave: Slave) -> bool:
        """Whether this slave gets no suspects. Where time is limited others may lack it: then anybody gets them."""
        return not self._lifetimes.are_limited and self._doubts.leaves_suspects(slave)

    def _cut(self, piece: Piece, room: int) -> Piece:
        """So many of its items; the others stay where they were."""
        if len(piece.positions) <= room:
            return piece
        self._waiting.put_first(piece._replace(positions=piece.positions[room:]))
        return piece._replace(positions=piece.positions[:room])
