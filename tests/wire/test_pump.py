"""The pump lets nobody at the other end keep it from all else."""

from __future__ import annotations

import socket
from contextlib import closing

from tracking.wire.carriers import SocketCarrier
from tracking.wire.pump import Pump

_BEAT = b"\0\0\0\0\5\0\0\0\0"


class Flooded(SocketCarrier):
    """Brings signs of life, as many as there is room for, each time that it is read."""

    n_reads = 0

    def read_into(self, space: memoryview) -> int:
        self.n_reads += 1
        beats = _BEAT * (len(space) // len(_BEAT))
        space[: len(beats)] = beats
        return len(beats)


def reads_of_a_turn(read_s: float) -> int:
    """How often a line that is flooded is read in one turn, where each look at the clock shows so much more."""
    near, far = socket.socketpair()
    times = iter(range(10**6))
    with closing(far), closing(Pump(carrier := Flooded(near, "it"), print, lambda: next(times) * read_s)) as pump:
        pump.turn()
        assert pump.has_more
        assert not pump.fault
        return carrier.n_reads


def test_a_flood_is_read_for_a_moment_and_then_all_else_has_its_turn() -> None:
    assert reads_of_a_turn(0.02) == 1
    assert 1 < reads_of_a_turn(0.0) < 100
