"""What a slave may have of the items that were given back."""

from __future__ import annotations

from collections.abc import Sequence

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
    """

    def __init__(self, items: Items, waiting: Waiting, slaves: Slaves, lifetimes: Lifetimes) -> None:
        self._items = items
        self._waiting = waiting
        self._slaves = slaves
        self._lifetimes = lifetimes

    def next_for(self, slave: Slave, now: float) -> tuple[Piece, Sequence[int]] | None:
        """A piece, and those of its items that nobody has finished meanwhile, now given out; None: none for it."""
        while True:
            piece = None if slave.jobs else self._long_item(slave, now) or self._waiting.next_suspect()
            if piece is None:
                piece = self._waiting.next_piece(slave.number, self._slaves.usable > 1, now)
            if piece is None:
                return None
            piece = self._cut(piece, self._lifetimes.room(slave, now))
            positions = self._items.take_these(piece.positions)
            if positions:
                return piece, positions

    def _long_item(self, slave: Slave, now: float) -> Piece | None:
        return self._waiting.next_long(lambda needed_s: self._lifetimes.has_time(slave, needed_s, now))

    def _cut(self, piece: Piece, room: int) -> Piece:
        """So many of its items; the others stay where they were."""
        if len(piece.positions) <= room:
            return piece
        self._waiting.put_first(piece._replace(positions=piece.positions[room:]))
        return piece._replace(positions=piece.positions[:room])
