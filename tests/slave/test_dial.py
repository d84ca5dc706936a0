"""A relay looks for its master: which of its addresses leads there, and what is said when none does."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from tracking.slave import dial as module
from tracking.slave.dial import dial_master
from tracking.testing import Clock
from tracking.wire.carriers import SocketCarrier
from tracking.wire.handshake import Answerer
from tracking.wire.keys import Key
from tracking.wire.tickets import Ticket, address_text
from tracking.wire.tls import Identity, Shaking
from tracking.wire.tls_carrier import TlsCarrier

KEY = Key()
IDENTITY = Identity.new()
NUMBER = 7
Answer = Callable[[socket.socket], None]


class Served:
    """A port at which the first answers what the first of these does, and so on; all the others the last."""

    def __init__(self, *answers: Answer, host: str = "127.0.0.1") -> None:
        self._answers = answers
        self.count = 0
        self._server = socket.create_server((host, 0))
        self.address = address_text(*self._server.getsockname()[:2])
        self._kept: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                line, _ = self._server.accept()
            except OSError:
                return
            self.count += 1
            self._kept.append(line)
            with contextlib.suppress(OSError):
                self._answers[min(self.count, len(self._answers)) - 1](line)

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()
        for line in self._kept:
            line.close()


def proves(line: socket.socket, key: Key) -> Answerer:
    answerer = Answerer(key)
    while answerer.wanted and not answerer.is_proved:
        data = line.recv(answerer.wanted)
        if not data:
            raise ConnectionResetError
        line.sendall(answerer.received(data))
    line.sendall(answerer.welcome())
    return answerer


def plain_master(line: socket.socket) -> None:
    proves(line, KEY)


def tls_master(line: socket.socket) -> None:
    seals = proves(line, KEY).seals()
    shaking = Shaking(line.dup(), IDENTITY.context(is_master=True), IDENTITY, seals, is_master=True)
    with shaking.line:
        while shaking.advance():
            select.select([shaking.line], [], [], 1.0)


def stranger(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        proves(line, Key())


def hangs_up(line: socket.socket) -> None:
    line.close()


def says_nothing(line: socket.socket) -> None:
    pass


def speaks_version_7(line: socket.socket) -> None:
    line.recv(50)
    line.sendall(b"TRKLINE\n\x00\x07" + bytes(64))


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    with contextlib.ExitStack() as stack:

        def begin(*answers: Answer, host: str = "127.0.0.1") -> Served:
            served = Served(*answers, host=host)
            stack.callback(served.close)
            return served

        yield begin


@pytest.fixture
def clock() -> Clock:
    return Clock(100.0)


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return address_text(*server.getsockname())


def dialled(addresses: list[str], clock: Clock, seconds: float = 60.0, *, is_encrypted: bool = False) -> str:
    """Where the master was found, by a relay whose pauses take no time."""
    ticket = Ticket(tuple(addresses), KEY, IDENTITY if is_encrypted else None)
    carrier = dial_master(ticket, NUMBER, seconds, clock, clock.step)
    carrier.close()
    assert type(carrier) is (TlsCarrier if is_encrypted else SocketCarrier)
    host, _, port = carrier.name.rpartition(" port ")
    return address_text(host, int(port))


@pytest.mark.parametrize(("answer", "is_encrypted"), [(plain_master, False), (tls_master, True)])
def test_every_address_is_tried(serve: Callable[..., Served], clock: Clock, answer: Answer, is_encrypted: bool) -> None:
    master = serve(answer)
    assert dialled([closed_port(), master.address], clock, is_encrypted=is_encrypted) == master.address
    assert clock() == 100.0


def test_names_are_tried_where_no_number_leads_to_the_master(serve: Callable[..., Served], clock: Clock) -> None:
    port = serve(plain_master).address.rpartition(":")[2]
    assert dialled(["nowhere.invalid:1", closed_port(), f"localhost:{port}"], clock) == f"localhost:{port}"


def test_names_are_not_looked_up_where_a_number_leads_there(
    serve: Callable[..., Served], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    getaddrinfo = socket.getaddrinfo

    def noted(host: str, *arguments: int, **named: int) -> object:
        if named.get("flags") != socket.AI_NUMERICHOST:
            asked.append(host)
        return getaddrinfo(host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", noted)
    dialled(["slow.name.server:1", serve(plain_master).address], clock)
    assert asked == ["127.0.0.1"]


@pytest.mark.skipif(not os.path.exists("/proc/net/if_inet6"), reason="this machine has no IPv6")
def test_ipv6_addresses_are_tried_too(serve: Callable[..., Served], clock: Clock) -> None:
    server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    thread = threading.Thread(target=lambda: plain_master(accepted.enter_context(server.accept()[0])))
    with contextlib.ExitStack() as accepted, server:
        thread.start()
        address = address_text(*server.getsockname()[:2])
        assert dialled([closed_port(), address], clock) == address
        thread.join()


def test_a_stranger_who_answers_is_passed_over(serve: Callable[..., Served], clock: Clock) -> None:
    other, master = serve(stranger), serve(plain_master)
    assert dialled([other.address, master.address], clock) == master.address


def test_one_that_says_nothing_does_not_keep_the_others_waiting(
    serve: Callable[..., Served], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 0.05)
    silent, master = serve(says_nothing), serve(plain_master)
    assert dialled([silent.address, master.address], clock) == master.address


def test_the_same_master_is_not_dialled_at_all_of_its_addresses_at_once(
    serve: Callable[..., Served], clock: Clock
) -> None:
    ports = [serve(plain_master) for _ in range(4)]
    dialled([port.address for port in ports], clock)
    assert sum(port.count for port in ports) == 1


def test_a_master_that_was_too_crowded_is_dialled_again(serve: Callable[..., Served], clock: Clock) -> None:
    master = serve(hangs_up, hangs_up, hangs_up, hangs_up, plain_master)
    assert dialled([master.address], clock) == master.address
    assert master.count == 5
    assert clock() > 100.0


def test_nobody_there_is_given_up_in_time_and_says_what_each_said_and_what_to_set(clock: Clock) -> None:
    one, other = closed_port(), closed_port()
    with pytest.raises(ConnectionError) as caught:
        dialled([one, other, "nowhere.invalid:1"], clock, 9.0)
    text = str(caught.value)
    for address in (one, other):
        assert f"{address.replace(':', ' port ')}: {os.strerror(errno.ECONNREFUSED)}" in text
    assert "nowhere.invalid port 1: " in text
    assert socket.gethostname() in text
    assert "reachable_as=" in text
    assert "port=" in text
    assert 105.0 < clock() <= 109.0


def test_where_nobody_listens_at_any_address_for_a_while_the_master_has_ended(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    getaddrinfo = socket.getaddrinfo

    def knows_no_names(host: str, *arguments: int, **named: int) -> object:
        if host == "nowhere.invalid":  # a name server that is far takes its time
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return getaddrinfo(host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", knows_no_names)
    with pytest.raises(ConnectionError, match=os.strerror(errno.ECONNREFUSED)):
        dialled([closed_port(), closed_port(), "nowhere.invalid:1"], clock)
    assert 108.0 < clock() <= 110.0


def test_a_master_of_which_one_address_does_not_answer_may_be_there_yet(
    serve: Callable[..., Served], clock: Clock
) -> None:
    with pytest.raises(ConnectionError):
        dialled([closed_port(), serve(hangs_up).address], clock)
    assert 155.0 < clock() <= 160.0


@pytest.mark.parametrize(
    ("answer", "words"),
    [(stranger, "it does not know our key"), (speaks_version_7, "it speaks version 7 of the handshake, we speak")],
)
def test_who_is_not_our_master_does_not_become_it(
    serve: Callable[..., Served], clock: Clock, answer: Answer, words: str
) -> None:
    served = serve(answer)
    with pytest.raises(ConnectionError, match=words):
        dialled([served.address], clock)
    assert served.count == 3


def test_a_master_without_encryption_is_refused_by_a_relay_that_wants_it(
    serve: Callable[..., Served], clock: Clock
) -> None:
    def plain(line: socket.socket) -> None:
        proves(line, KEY)
        line.sendall(b"\0" * 100)

    with pytest.raises(ConnectionError, match="no encrypted line can be made with it"):
        dialled([serve(plain).address], clock, is_encrypted=True)


def test_encryption_that_never_comes_is_bounded(
    serve: Callable[..., Served], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHAKE_S", 0.05)
    with pytest.raises(ConnectionError, match=r"was not encrypted after 0.05 s"):
        dialled([serve(plain_master).address], clock, 1.0, is_encrypted=True)
