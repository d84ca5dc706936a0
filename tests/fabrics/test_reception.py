"""Relays are let in, alone and unheard; who wants to stand between them and the master is not."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from tracking.errors import EngineError, InputError
from tracking.fabrics.launcher import RelayUp
from tracking.fabrics.reception import Reception, _with_port
from tracking.slave.dial import dial_master
from tracking.testing import Clock
from tracking.wire.carriers import Carrier, SocketCarrier
from tracking.wire.handshake import Dialler
from tracking.wire.keys import Key
from tracking.wire.tickets import Ticket, address_of
from tracking.wire.tls import SHAKE_S, Identity, Shaking
from tracking.wire.tls_carrier import TlsCarrier

TIMEOUT_S = 30.0
NUMBER = 5


class Desk:
    """A reception on the loopback, polled by the test, and those who come."""

    def __init__(self, *, is_encrypted: bool = True) -> None:
        self.clock = Clock(100.0)
        self.key = Key()
        self.reception = Reception(self.key, address="127.0.0.1", is_encrypted=is_encrypted, clock=self.clock)
        self.ticket = self.reception.ticket()
        self.address = address_of(self.ticket.addresses[0])
        self.came: list[RelayUp] = []
        self.open = contextlib.ExitStack()

    def close(self) -> None:
        for up in self.came:
            up.carrier.close()
        self.reception.close()
        self.open.close()

    def poll(self) -> None:
        select.select(list(self.reception.descriptors()), [], [], 0.02)
        self.came += self.reception.poll()

    def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            self.poll()

    def dial(self, ticket: Ticket | None = None, number: int = NUMBER, timeout_s: float = TIMEOUT_S) -> Carrier:
        """A relay dials, while the reception is polled."""
        got: list[Carrier | Exception] = []

        def run() -> None:
            try:
                got.append(dial_master(ticket or self.ticket, number, timeout_s))
            except Exception as error:
                got.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        self.until(lambda: not thread.is_alive())
        (carrier,) = got
        if isinstance(carrier, Exception):
            raise carrier
        self.open.callback(carrier.close)
        return carrier

    def line(self) -> socket.socket:
        return self.open.enter_context(socket.create_connection(self.address, TIMEOUT_S))

    def proved(self, number: int) -> tuple[socket.socket, Dialler]:
        """A line of one who knows the key, and whose TLS handshake is due."""
        line, dialler = self.line(), Dialler(self.key, number)
        line.sendall(dialler.hello)
        while dialler.wanted:
            self.until(lambda: select.select([line], [], [], 0)[0])
            line.sendall(dialler.received(line.recv(dialler.wanted)))
        return line, dialler

    def is_cut(self, line: socket.socket) -> bool:
        try:
            while select.select([line], [], [], 0)[0]:
                if not line.recv(1 << 16):
                    return True
        except ConnectionResetError:
            return True
        return False


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    desk.reception.expect(NUMBER)
    yield desk
    desk.close()


def read(carrier: Carrier, count: int) -> bytes:
    space, got = memoryview(bytearray(1 << 16)), b""
    while len(got) < count:
        size = carrier.read_into(space)
        assert size != 0, "it hung up"
        if size is None:
            select.select([carrier.read_descriptor()], [], [], TIMEOUT_S)
        else:
            got += space[:size]
    return got


@pytest.mark.parametrize(("is_encrypted", "kind"), [(True, TlsCarrier), (False, SocketCarrier)])
def test_a_relay_that_is_expected_comes_in_and_both_ends_can_talk(is_encrypted: bool, kind: type) -> None:
    desk = Desk(is_encrypted=is_encrypted)
    try:
        desk.reception.expect(NUMBER)
        far = desk.dial()
        desk.until(lambda: desk.came)
        assert desk.came[0].number == NUMBER
        near = desk.came[0].carrier
        assert isinstance(near, kind)
        assert isinstance(far, kind)
        assert near.write([b"down ", memoryview(b"there")]) == 10
        assert read(far, 10) == b"down there"
        assert far.write([b"up"]) == 2
        assert read(near, 2) == b"up"
    finally:
        desk.close()


def test_each_number_comes_in_once(desk: Desk) -> None:
    desk.dial()
    desk.reception.expect(NUMBER + 1)  # so that the reception goes on accepting
    with pytest.raises(ConnectionError, match="cannot reach the master"):
        desk.dial(timeout_s=0.5)
    assert len(desk.came) == 1


def test_who_is_forgotten_is_not_let_in_even_when_half_in(desk: Desk) -> None:
    line, _ = desk.proved(NUMBER)
    desk.reception.forget(NUMBER)
    assert desk.is_cut(line)
    assert desk.reception.poll_within_s() is None


def test_nothing_is_open_before_anybody_may_come() -> None:
    reception = Reception(Key(), is_encrypted=False)
    assert list(reception.descriptors()) == []
    assert reception.poll() == []
    assert reception.poll_within_s() is None
    reception.close()


def test_while_nobody_is_expected_nobody_is_accepted_and_the_port_stays_the_same(desk: Desk) -> None:
    desk.dial()
    desk.until(lambda: desk.came)
    stranger = desk.line()
    stranger.sendall(b"nonsense")
    assert not select.select(list(desk.reception.descriptors()), [], [], 0)[0]
    assert desk.reception.poll_within_s() is None
    with pytest.raises(OSError, match="in use"):
        socket.create_server(desk.address)
    desk.reception.expect(NUMBER + 1)
    desk.dial(number=NUMBER + 1)
    desk.until(lambda: len(desk.came) == 2)
    assert desk.reception.ticket() is desk.ticket


# ---- those who stand between


class Hijacker:
    """Lets relay and master prove the key to each other, and takes over one of the two lines after that."""

    def __init__(self, desk: Desk, take: Callable[[socket.socket, socket.socket], None]) -> None:
        self._desk, self._take = desk, take
        self._server = socket.create_server(("127.0.0.1", 0))
        self.ticket = Ticket(
            (f"127.0.0.1:{self._server.getsockname()[1]}",), desk.ticket.key, desk.ticket.identity
        )
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                relay, _ = self._server.accept()
            except OSError:
                return
            with relay, socket.create_connection(self._desk.address) as master, contextlib.suppress(OSError):
                relay.settimeout(TIMEOUT_S)
                master.settimeout(TIMEOUT_S)
                for source, goal, size in ((relay, master, 50), (master, relay, 74), (relay, master, 32)):
                    goal.sendall(source.recv(size, socket.MSG_WAITALL))
                relay.sendall(master.recv(32, socket.MSG_WAITALL))  # both trust each other
                self._take(relay, master)

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()


def as_master(relay: socket.socket, master: socket.socket) -> None:
    """With a certificate of his own."""
    _as(relay, is_master=True)


def as_relay(relay: socket.socket, master: socket.socket) -> None:
    _as(master, is_master=False)


def _as(line: socket.socket, *, is_master: bool) -> None:
    mine = Identity.new()
    context = mine.context(is_master=is_master)
    context.check_hostname = False
    context.verify_mode = 0  # type: ignore[assignment]
    with context.wrap_socket(line.dup(), server_side=is_master) as taken:
        taken.sendall(b"\x80\x04 run this" * 10)
        taken.recv(100)


def in_plain_to_relay(relay: socket.socket, master: socket.socket) -> None:
    relay.sendall(b"\x80\x04 run this" * 10)
    relay.recv(100)


def in_plain_to_master(relay: socket.socket, master: socket.socket) -> None:
    master.sendall(b"\x80\x04 run this" * 10)
    master.recv(100)


@pytest.mark.parametrize("take", [as_master, as_relay, in_plain_to_relay, in_plain_to_master])
def test_who_takes_over_a_line_after_the_key_was_proved_gets_nowhere(
    desk: Desk, take: Callable[[socket.socket, socket.socket], None]
) -> None:
    hijacker = Hijacker(desk, take)
    try:
        with pytest.raises(ConnectionError, match="cannot reach the master"):
            desk.dial(hijacker.ticket, timeout_s=2.0)
    finally:
        hijacker.close()
    assert desk.came == []
    desk.dial()  # and the relay can still come where nobody stands between
    desk.until(lambda: desk.came)


def test_another_certificate_with_the_right_key_is_refused(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    ticket = Ticket(desk.ticket.addresses, desk.key, Identity.new())
    with pytest.raises(ConnectionError, match="certificate"):
        desk.dial(ticket, timeout_s=2.0)
    assert desk.came == []
    assert f"a line of relay {NUMBER} from 127.0.0.1 port" in caplog.text


def test_nobody_is_talked_into_a_plain_line(desk: Desk) -> None:
    plain = Ticket(desk.ticket.addresses, desk.key, None)
    carrier = desk.dial(plain)  # it believes that it is in
    carrier.write([b"\x80\x04 run this" * 10])
    desk.until(lambda: select.select([carrier.read_descriptor()], [], [], 0)[0])
    assert desk.came == []


# ---- those who want to cost time


def test_a_tls_handshake_that_never_ends_is_bounded_and_costs_others_nothing(desk: Desk) -> None:
    others = range(100, 150)
    for number in others:
        desk.reception.expect(number)
    stalled = [desk.proved(number)[0] for number in others]
    desk.dial()
    desk.until(lambda: desk.came)
    assert [up.number for up in desk.came] == [NUMBER]
    assert desk.reception.poll_within_s() == pytest.approx(SHAKE_S)
    desk.clock.step(SHAKE_S)
    assert desk.reception.poll_within_s() == 0.0
    desk.poll()
    assert all(desk.is_cut(line) for line in stalled)
    desk.dial(number=100)  # who was spoilt may come again
    desk.until(lambda: len(desk.came) == 2)


def test_strangers_who_begin_with_tls_never_reach_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    shaken: list[object] = []
    advance = Shaking.advance
    monkeypatch.setattr(Shaking, "advance", lambda self: shaken.append(self) or advance(self))  # type: ignore[func-returns-value]
    lines = [desk.line() for _ in range(200)]
    for line in lines:
        with contextlib.suppress(OSError):
            line.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200))
    desk.until(lambda: all(desk.is_cut(line) for line in lines))
    assert shaken == []
    desk.dial()
    desk.until(lambda: desk.came)


def test_a_relay_that_is_expected_again_while_it_comes_in_leaves_nothing_open(desk: Desk) -> None:
    first, _ = desk.proved(NUMBER)
    desk.reception.expect(NUMBER)
    desk.dial()
    desk.until(lambda: desk.came)
    assert desk.is_cut(first)


def test_closing_cuts_who_is_on_its_way_in(desk: Desk) -> None:
    line, _ = desk.proved(NUMBER)
    desk.reception.close()
    desk.reception.close()
    assert desk.is_cut(line)


# ---- where


def test_it_can_be_reached_at_all_addresses_of_this_machine() -> None:
    reception = Reception(Key(), is_encrypted=False)
    try:
        addresses = [address_of(text) for text in reception.ticket().addresses]
        assert len({port for _, port in addresses}) == 1
        for host, port in addresses[:-1]:
            socket.create_connection((host, port), TIMEOUT_S).close()
        socket.create_connection(("127.0.0.1", addresses[0][1]), TIMEOUT_S).close()
    finally:
        reception.close()


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("login1", "login1:77"),
        ("10.0.0.1", "10.0.0.1:77"),
        ("10.0.0.1:5", "10.0.0.1:5"),
        ("fd00::1", "[fd00::1]:77"),
        ("[fd00::1]", "[fd00::1]:77"),
        ("[fd00::1]:5", "[fd00::1]:5"),
    ],
)
def test_names_of_the_user_get_the_port_unless_they_have_one(host: str, text: str) -> None:
    assert _with_port(host, 77) == text


def test_of_a_range_of_ports_a_free_one_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        last = min(port + 20, 65535)
        reception = Reception(Key(), address="127.0.0.1", port=(port, last), is_encrypted=False)
        assert port < address_of(reception.ticket().addresses[0])[1] <= last
        reception.close()
        reception = Reception(Key(), address="127.0.0.1", port=port, is_encrypted=False)
        with pytest.raises(EngineError, match=rf"cannot listen at 127.0.0.1, port {port}; set address= or port="):
            reception.ticket()
        reception.close()


@pytest.mark.parametrize("port", [-1, 65536, (5, 4), (0, 10)])
def test_a_port_that_cannot_be_is_refused(port: int | tuple[int, int]) -> None:
    with pytest.raises(InputError, match="give a port"):
        Reception(Key(), port=port, is_encrypted=False)


@pytest.mark.parametrize("host", ["", "a b"])
def test_a_name_that_cannot_be_is_refused(host: str) -> None:
    with pytest.raises(InputError, match="reachable_as"):
        Reception(Key(), reachable_as=[host], is_encrypted=False)
