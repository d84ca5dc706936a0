"""The near end of the line of a relay, whose far end is moved by hand."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from tracking.fabrics.relay_line import RelayLine
from tracking.testing import Clock
from tracking.wire.carriers import SocketCarrier
from tracking.wire.pump import Pump

BEAT_S = 2.5


@pytest.fixture
def clock() -> Clock:
    """Stands still: who waits for it to go on waits for ever."""
    return Clock(100.0)


@pytest.fixture
def ends(clock: Clock) -> Iterator[tuple[RelayLine, Pump]]:
    """The near end, and the far one."""
    near, far = socket.socketpair()
    with (
        closing(RelayLine(1, SocketCarrier(near, "there"), BEAT_S, clock)) as line,
        closing(Pump(SocketCarrier(far, "here"), lambda _: None, clock)) as relay,
    ):
        yield line, relay


def test_a_relay_that_was_not_heard_lately_is_not_waited_for(ends: tuple[RelayLine, Pump], clock: Clock) -> None:
    line, _ = ends
    clock.step(1.6 * BEAT_S)
    line.wait_for_end(clock() + 5.0)
    assert line.pump.fault == ""


def test_what_it_has_said_while_nobody_listened_counts_as_heard(ends: tuple[RelayLine, Pump], clock: Clock) -> None:
    line, relay = ends
    clock.step(10 * BEAT_S)
    relay.turn()
    relay.say(**{"is": "forked"}, tid=2, pid=3)
    relay.flush()
    relay.close()
    line.wait_for_end(clock() + 5.0)
    assert line.pump.heard_at == clock()
    assert "its line ended" in line.pump.fault


def test_no_relay_is_waited_for_beyond_the_time_that_is_left(ends: tuple[RelayLine, Pump], clock: Clock) -> None:
    line, _ = ends
    line.wait_for_end(clock())
    assert line.pump.fault == ""
