"""The listener: who is let in, who is not, and what those who are not cost."""

from __future__ import annotations

import errno
import logging
import os
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tracking.testing import Clock
from tracking.wire import listener as module
from tracking.wire.handshake import Dialler
from tracking.wire.keys import Key
from tracking.wire.listener import (
    CROWDED_HANDSHAKE_S,
    HANDSHAKE_S,
    MOST_HALF_OPEN,
    Dialled,
    Listener,
)

TIMEOUT_S = 30.0
TID = 5


class Place:
    """A listener, polled by the test, and those who dial it."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.clock = Clock(100.0)
        self.key = Key()
        self.address = address
        self.listener = Listener(self.key, address, clock=self.clock)
        self.open = ExitStack()
        self.dialled: list[Dialled] = []

    def close(self) -> None:
        self.open.close()
        for dialled in self.dialled:
            dialled.socket.close()
        self.listener.close()

    def line(self, source: str = "") -> socket.socket:
        """Somebody connects."""
        place = (self.address, self.listener.port)
        line = socket.create_connection(place, TIMEOUT_S, source_address=(source, 0) if source else None)
        return self.open.enter_context(line)

    def poll(self) -> None:
        self.dialled += self.listener.poll()

    def settle(self) -> None:
        """Poll as long as there is anything to read."""
        self.poll()
        while select.select([self.listener], [], [], 0.01)[0]:
            self.poll()

    def settle_until(self, condition: Callable[[], object]) -> None:
        """What was sent may take its time, also on a line within this machine."""
        self.settle()
        while not condition():
            self.settle()

    def converse(self, line: socket.socket, dialler: Dialler) -> None:
        """Dial as a slave does."""
        line.sendall(dialler.hello)
        while dialler.wanted:
            while not select.select([line], [], [], 0)[0]:
                assert select.select([line, self.listener], [], [], TIMEOUT_S)[0]
                self.poll()
            data = line.recv(dialler.wanted)
            assert data, "the listener hung up"
            line.sendall(dialler.received(data))

    def dial(self, number: int = TID, key: Key | None = None) -> socket.socket:
        line = self.line()
        self.converse(line, Dialler(key or self.key, number))
        return line

    def is_cut(self, line: socket.socket) -> bool:
        try:
            return bool(select.select([line], [], [], 0)[0]) and not line.recv(1)
        except ConnectionResetError:
            return True


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place()
    place.listener.expect(TID)
    yield place
    place.close()


def test_an_expected_relay_gets_its_line_once(place: Place) -> None:
    end = place.dial()
    (dialled,) = place.dialled
    assert dialled.number == TID
    end.sendall(b"through")
    assert dialled.socket.recv(100) == b"through"
    assert dialled.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert not dialled.socket.getblocking()
    assert not place.listener.expects_anybody
    with pytest.raises(AssertionError, match="hung up"):
        place.dial()
    assert place.listener.counts.refused == 1


def test_what_a_slave_says_behind_its_proof_is_left_for_the_channel(place: Place) -> None:
    end = place.dial()
    end.sendall(b"x" * 1000)
    (dialled,) = place.dialled
    assert dialled.socket.recv(2000) == b"x" * 1000


@pytest.mark.parametrize("tid", [TID + 1, 0])
def test_who_knows_the_key_and_is_not_expected_is_refused(
    place: Place, tid: int, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(AssertionError, match="hung up"):
        place.dial(tid)
    assert place.dialled == []
    assert f"relay {tid} is not expected" in caplog.text


def test_a_slave_that_was_given_up_is_not_let_in(place: Place) -> None:
    place.listener.forget(TID)
    with pytest.raises(AssertionError, match="hung up"):
        place.dial()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "it speaks another language"),
        (b"\0", "it speaks another language"),
        (b"TRKLINE\n\x00\x03", "it speaks version 3 of the handshake"),
        (b"TRKLINE\n\x00\x02" + bytes(40) + bytes(32), "it does not know our key"),
    ],
)
def test_who_says_anything_wrong_is_cut_off_and_logged_with_its_address(
    place: Place, said: bytes, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    line = place.line()
    line.sendall(said)
    place.settle_until(lambda: words in caplog.text)
    assert f"127.0.0.1 port {line.getsockname()[1]}" in caplog.text
    assert place.listener.counts.refused == 1
    place.dial()
    assert len(place.dialled) == 1


def test_another_version_is_told_ours(place: Place) -> None:
    line = place.line()
    line.sendall(b"TRKLINE\n\x00\x03")
    place.settle_until(lambda: select.select([line], [], [], 0)[0])
    assert line.recv(100) == b"TRKLINE\n\x00\x02"


def test_who_hangs_up_anywhere_costs_nothing(place: Place) -> None:
    hello = Dialler(place.key, TID).hello
    for length in range(len(hello) + 1):
        line = place.line()
        line.sendall(hello[:length])
        if length % 2:
            place.settle()
        line.close()
    place.settle_until(lambda: place.listener.counts.refused == len(hello) + 1)
    place.dial()


def test_one_byte_a_second_is_too_slow(place: Place) -> None:
    line = place.line()
    hello = Dialler(place.key, TID).hello
    for second in range(int(HANDSHAKE_S)):
        line.sendall(hello[second : second + 1])
        place.settle()
        assert not place.is_cut(line)
        place.clock.step(1.0)
    place.poll()
    assert place.is_cut(line)
    assert place.listener.counts.too_slow == 1


def test_it_asks_to_be_polled_when_a_silent_line_is_due(place: Place) -> None:
    assert place.listener.poll_within_s() is None
    place.line()
    place.settle_until(lambda: place.listener.counts.accepted)
    place.clock.step(1.0)
    assert place.listener.poll_within_s() == pytest.approx(HANDSHAKE_S - 1.0)
    place.clock.step(HANDSHAKE_S)
    assert place.listener.poll_within_s() == 0.0
    place.poll()
    assert place.listener.poll_within_s() is None


def test_the_number_of_half_open_lines_is_bounded_and_the_oldest_make_room(place: Place) -> None:
    lines = [place.line() for _ in range(MOST_HALF_OPEN + 10)]
    place.settle_until(lambda: place.listener.counts.accepted >= MOST_HALF_OPEN)
    assert place.listener.counts.accepted == MOST_HALF_OPEN
    assert place.listener.poll_within_s() == pytest.approx(CROWDED_HANDSHAKE_S)
    place.clock.step(CROWDED_HANDSHAKE_S)
    place.settle_until(lambda: place.listener.counts.crowded_out >= 10)
    assert place.listener.counts.crowded_out == 10
    assert [place.is_cut(line) for line in lines] == [True] * 10 + [False] * MOST_HALF_OPEN


def test_a_real_slave_behind_a_thousand_silent_lines_comes_in(place: Place) -> None:
    for _ in range(1000):
        place.line()
    real = place.line()
    dialler = Dialler(place.key, TID)
    real.sendall(dialler.hello)
    waited_s = 0.0
    while dialler.wanted:
        place.settle()
        place.clock.step(CROWDED_HANDSHAKE_S)
        waited_s += CROWDED_HANDSHAKE_S
        if select.select([real], [], [], 0)[0]:
            real.sendall(dialler.received(real.recv(dialler.wanted)))
    assert waited_s < 2.0
    place.settle()
    assert len(place.dialled) == 1


def test_a_flood_from_one_machine_does_not_crowd_out_another(place: Place) -> None:
    other = place.line("127.0.0.2")
    place.settle_until(lambda: place.listener.counts.accepted)
    for _ in range(5):
        for _ in range(MOST_HALF_OPEN):
            place.line("127.0.0.3")
        place.settle()
        place.clock.step(CROWDED_HANDSHAKE_S)
    assert not place.is_cut(other)
    place.converse(other, Dialler(place.key, TID))
    assert len(place.dialled) == 1


def test_only_some_are_accepted_at_a_time(place: Place) -> None:
    for _ in range(100):
        place.line()
    place.poll()
    assert place.listener.counts.accepted == 16


def test_without_descriptors_it_pauses_and_goes_on(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class NoRoom:
        def __init__(self, real: socket.socket) -> None:
            self.real = real

        def accept(self) -> object:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        def __getattr__(self, name: str) -> object:
            return getattr(self.real, name)

    real = place.listener._socket
    monkeypatch.setattr(place.listener, "_socket", NoRoom(real))
    line = place.line()
    place.settle()
    assert "cannot be let in for a moment: [Errno 24] Too many open files" in caplog.text
    assert place.listener.poll_within_s() == pytest.approx(0.5)
    assert not select.select([place.listener], [], [], 0)[0], "it would be polled again and again"
    monkeypatch.setattr(place.listener, "_socket", real)
    place.clock.step(0.5)
    place.poll()
    place.converse(line, Dialler(place.key, TID))
    assert len(place.dialled) == 1


def test_a_thousand_refusals_are_a_few_lines_in_the_log(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for _ in range(200):
        place.line().sendall(b"nonsense")
    while place.listener.counts.refused < 200:
        place.settle()
    assert len(caplog.records) == 1
    place.clock.step(module._LOG_INTERVAL_S)
    place.line().sendall(b"nonsense")
    place.settle_until(lambda: place.listener.counts.refused == 201)
    assert [record.getMessage() for record in caplog.records][1] == "... and 199 more lines were refused"
    assert len(caplog.records) == 3


def test_it_listens_on_the_loopback_only_unless_told_otherwise(place: Place) -> None:
    assert place.listener._socket.getsockname()[0] == "127.0.0.1"


@pytest.mark.skipif(not os.path.exists("/proc/net/if_inet6"), reason="this machine has no IPv6")
def test_it_listens_on_ipv6_too() -> None:
    place = Place("::1")
    try:
        place.listener.expect(TID)
        place.dial()
        assert len(place.dialled) == 1
    finally:
        place.close()


def test_closing_leaves_nothing_open(place: Place) -> None:
    lines = [place.line() for _ in range(3)]
    place.settle_until(lambda: place.listener.counts.accepted == 3)
    place.listener.close()
    place.listener.close()
    assert all(place.is_cut(line) for line in lines)


def test_both_ends_have_the_same_seals_and_each_line_its_own(place: Place) -> None:
    seals = []
    for number in (TID, TID + 1):
        place.listener.expect(number)
        dialler = Dialler(place.key, number)
        place.converse(place.line(), dialler)
        seals.append(dialler.seals())
    assert [dialled.seals for dialled in place.dialled] == seals
    assert len({seal for pair in seals for seal in pair}) == 4
    assert "seals" not in repr(place.dialled[0])


def test_while_it_rests_nobody_is_accepted_and_then_those_who_have_waited_are(place: Place) -> None:
    place.listener.rest()
    line = place.line()
    place.settle()
    assert place.listener.counts.accepted == 0
    assert place.listener.poll_within_s() is None
    place.listener.expect(TID)
    place.converse(line, Dialler(place.key, TID))
    assert len(place.dialled) == 1


def test_on_all_addresses_ipv4_peers_are_called_by_their_ipv4_address() -> None:
    place = Place("")
    try:
        place.address = "127.0.0.1"
        place.listener.expect(TID)
        line = place.dial()
        assert place.dialled[0].peer == f"127.0.0.1 port {line.getsockname()[1]}"
    finally:
        place.close()


def test_who_hangs_up_by_itself_has_found_us_at_another_address_and_is_nothing_to_warn_of(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    silent, polite = place.line(), place.line()
    polite.sendall(Dialler(place.key, TID).hello)
    place.settle()
    silent.close()
    polite.close()
    place.settle_until(lambda: place.listener.counts.refused == 2)
    assert not caplog.records
