"""The pump lets nobody at the other end keep it from all else."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from contextlib import closing

from tracking.wire.carriers import SocketCarrier
from tracking.wire.pump import Pump
from tracking.wire.streams import WINDOW_BYTES

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


def file_of(data: bytes) -> int:
    """The descriptor of a file with this in it."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        return os.dup(file.fileno())


def contents(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    data = os.pread(descriptor, size, 0)
    os.close(descriptor)
    return data


def test_a_file_is_sent_whole_and_then_its_end_without_holding_up_what_is_read_beside() -> None:
    near, far = socket.socketpair()
    data = os.urandom(3 * WINDOW_BYTES + 17)
    said: list[dict[str, object]] = []
    reading, writing = os.pipe()
    copied, arrived = file_of(b""), file_of(b"")
    os.set_blocking(reading, False)
    with (
        closing(Pump(SocketCarrier(near, "near"), print, time.monotonic)) as sender,
        closing(Pump(SocketCarrier(far, "far"), said.append, time.monotonic)) as taker,
    ):
        taker.attach(4, os.dup(copied), is_read=False)
        taker.attach(9, os.dup(arrived), is_read=False)
        sender.attach(9, reading, is_read=True)
        os.write(writing, b"beside")
        sender.send_file(4, file_of(data), then=lambda: sender.say(all="sent"))
        turns_until_beside = 0
        while not said:
            sender.turn()
            taker.turn()
            turns_until_beside += not os.fstat(arrived).st_size
    os.close(writing)
    assert contents(copied) == data
    assert contents(arrived) == b"beside"
    assert turns_until_beside <= 3
    assert said == [{"all": "sent"}]


def test_what_is_held_is_read_when_it_is_released() -> None:
    near, far = socket.socketpair()
    reading, writing = os.pipe()
    arrived = file_of(b"")
    os.set_blocking(reading, False)
    with (
        closing(Pump(SocketCarrier(near, "near"), print, time.monotonic)) as sender,
        closing(Pump(SocketCarrier(far, "far"), print, time.monotonic)) as taker,
    ):
        taker.attach(9, os.dup(arrived), is_read=False)
        sender.attach(9, reading, is_read=True)
        sender.hold(9)
        os.write(writing, b"later")
        sender.beat_if_due(0.0)
        sender.turn()
        taker.turn(1.0)
        assert not os.fstat(arrived).st_size
        sender.release(9)
        sender.turn(1.0)
        taker.turn(1.0)
    os.close(writing)
    assert contents(arrived) == b"later"
