"""Carriers: all bytes, in order, both ways, whatever the line takes at a time; and the end of it."""

from __future__ import annotations

import os
import random
import select
import socket
import ssl
from collections.abc import Callable, Iterator

import pytest

from tracking.wire.carriers import Carrier, Piece, PipeCarrier, SocketCarrier
from tracking.wire.tls import Identity
from tracking.wire.tls_carrier import TlsCarrier

IDENTITY = Identity.new()
Pair = tuple[Carrier, Carrier]


def pipes() -> Pair:
    (a, b), (c, d) = os.pipe(), os.pipe()
    return PipeCarrier(a, d), PipeCarrier(c, b)


def sockets() -> Pair:
    near, far = socket.socketpair()
    return SocketCarrier(near), SocketCarrier(far)


def encrypted() -> Pair:
    near, far = socket.socketpair()
    lines: list[ssl.SSLSocket] = []
    for line, is_master in ((near, True), (far, False)):
        line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the least: most records are written in parts
        line.setblocking(False)
        context = IDENTITY.context(is_master=is_master)
        lines.append(context.wrap_socket(line, server_side=is_master, do_handshake_on_connect=False))
    busy = list(lines)
    while busy:
        for line in list(busy):
            try:
                line.do_handshake()
                busy.remove(line)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
    return TlsCarrier(lines[0]), TlsCarrier(lines[1])


@pytest.fixture(params=[pipes, sockets, encrypted])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    make: Callable[[], Pair] = request.param
    near, far = make()
    yield near, far
    for carrier in (near, far):
        carrier.close()
        carrier.close()


class Sender:
    """Writes all of it, in pieces of all sizes."""

    def __init__(self, carrier: Carrier, data: bytes) -> None:
        self.carrier = carrier
        self.left = memoryview(data)
        self.blocked = 0

    def write(self) -> None:
        sizes = [random.choice((1, 9, 1000, 20_000, 100_000)) for _ in range(4)]
        pieces: list[Piece] = []
        at = 0
        for size in sizes:
            if self.left[at : at + size]:
                pieces.append(self.left[at : at + size])
                at += size
        written = self.carrier.write(pieces) if pieces else 0
        self.blocked += bool(pieces) and not written
        self.left = self.left[written:]


def read_all(carrier: Carrier, got: bytearray) -> bool:
    """Until there is nothing now; whether the other end is still there."""
    space = memoryview(bytearray(5000))
    while count := carrier.read_into(space):
        got += space[:count]
    return count is None


def test_all_bytes_come_in_order_both_ways_at_once(pair: Pair) -> None:
    near, far = pair
    down, up = random.randbytes(700_000), random.randbytes(500_000)
    senders = Sender(near, down), Sender(far, up)
    got_down, got_up = bytearray(), bytearray()
    for sender in senders:
        while not sender.blocked:  # the line is full
            assert sender.left
            sender.write()
    while len(got_down) < len(down) or len(got_up) < len(up):
        for sender in senders:
            sender.write()
        if random.random() < 0.3:  # so that the line is full again and again
            read_all(far, got_down)
            read_all(near, got_up)
    assert bytes(got_down) == down
    assert bytes(got_up) == up


def test_nothing_to_read_is_not_the_end_and_the_end_is_told(pair: Pair) -> None:
    near, far = pair
    got = bytearray()
    assert read_all(near, got)
    far.write([b"last words"])
    far.close()
    select.select([near.read_descriptor()], [], [], 10)
    assert not read_all(near, got)
    assert got == b"last words"


def test_nothing_to_write_is_nothing_written(pair: Pair) -> None:
    assert pair[0].write([b""]) == 0
    assert not pair[0].wants_write


def test_what_is_written_to_an_end_that_is_gone_is_an_error(pair: Pair) -> None:
    near, far = pair
    far.close()
    with pytest.raises(OSError, match=r"(?i)broken pipe|eof|reset"):
        near.write([bytes(1000)])


def test_what_is_no_tls_on_an_encrypted_line_breaks_it() -> None:
    near, far = encrypted()
    os.write(near.write_descriptor(), b"in plain" * 10)
    with pytest.raises(OSError, match=r"(?i)ssl|record|version"):
        read_all(far, bytearray())
    near.close()
    far.close()
