"""How a slave finds its master, and what it says when it does not."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tracking.errors import InputError
from tracking.slave import dialling
from tracking.slave.dialling import dial, identity_text, main, take_identity
from tracking.slave.process import Identity
from tracking.testing import Clock
from tracking.wire import keys
from tracking.wire.handshake import Answerer, Line
from tracking.wire.keys import Key
from tracking.wire.listener import Listener
from tracking.wire.tickets import address_of

ROOT = Path(__file__).parents[2]
KEY = Key()
TID = 3


class Served:
    """A port of this machine; what is done with each line in turn is said by the test."""

    def __init__(self, *answers: Callable[[socket.socket], None]) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = self._server.getsockname()
        self.count = 0
        self._answers = answers
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            line, _ = self._server.accept()
            with line:
                if line.getpeername()[0] == "127.0.0.9":
                    return
                self.count += 1
                self._answers[min(self.count, len(self._answers)) - 1](line)

    def close(self) -> None:
        socket.create_connection(self.address, source_address=("127.0.0.9", 0)).close()
        self._thread.join()
        self._server.close()


def hangs_up(line: socket.socket) -> None:
    line.recv(51)


def answers_with(key: Key) -> Callable[[socket.socket], None]:
    def answer(line: socket.socket) -> None:
        answerer = Answerer(key)
        while not answerer.is_proved:
            data = line.recv(answerer.wanted)
            if not data:
                return
            line.sendall(answerer.received(data))
        line.sendall(answerer.welcome())

    return answer


def speaks_version_7(line: socket.socket) -> None:
    line.recv(51)
    line.sendall(b"TRKLINE\n\x00\x07")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def serve(opened: ExitStack, *answers: Callable[[socket.socket], None]) -> Served:
    served = Served(*answers)
    opened.callback(served.close)
    return served


def closed_port() -> tuple[str, int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address: tuple[str, int] = server.getsockname()
        return address


def dialled(addresses: list[tuple[str, int]], clock: Clock, seconds: float = 60.0) -> tuple[str, int]:
    """The address at which the master was found, by a slave whose sleeps take no time."""
    line, address = dial(addresses, KEY, TID, Line.JOB, clock() + seconds, clock, clock.step)
    line.close()
    return address


def test_every_address_is_tried(opened: ExitStack, clock: Clock) -> None:
    master = serve(opened, answers_with(KEY))
    assert dialled([closed_port(), master.address], clock) == master.address


def test_a_stranger_who_answers_is_passed_over(opened: ExitStack, clock: Clock) -> None:
    stranger, master = serve(opened, answers_with(Key())), serve(opened, answers_with(KEY))
    assert dialled([stranger.address, master.address], clock) == master.address


def test_a_master_that_was_too_crowded_is_dialled_again(opened: ExitStack, clock: Clock) -> None:
    master = serve(opened, hangs_up, hangs_up, hangs_up, hangs_up, answers_with(KEY))
    assert dialled([master.address], clock) == master.address
    assert master.count == 5
    assert clock() > 0.0


def test_nobody_there_is_given_up_in_time(clock: Clock) -> None:
    host, port = address = closed_port()
    with pytest.raises(ConnectionError, match=rf"its master was not found: {host} port {port}: .*refused"):
        dialled([address], clock, 10.0)
    assert 5.0 < clock() <= 10.0


def test_with_a_wrong_key_it_gives_up_soon(opened: ExitStack, clock: Clock) -> None:
    stranger = serve(opened, answers_with(Key()))
    with pytest.raises(ConnectionError, match="it does not know our key: it is not our master"):
        dialled([stranger.address], clock)
    assert stranger.count == 3


def test_with_another_version_it_gives_up_soon_and_says_which(opened: ExitStack, clock: Clock) -> None:
    with pytest.raises(ConnectionError, match=r"it speaks version 7 of the handshake, we speak 1: .* on all hosts"):
        dialled([serve(opened, speaks_version_7).address], clock)


@pytest.mark.parametrize(
    ("text", "address"),
    [("node.cluster:4711", ("node.cluster", 4711)), ("10.0.0.1:1", ("10.0.0.1", 1)), ("[::1]:65535", ("::1", 65535))],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert address_of(text) == address


@pytest.mark.parametrize("text", ["", "node", "node:", ":4711", "node:0", "node:65536", "node:x", "node:-1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="write HOST:PORT"):
        address_of(text)


def test_an_identity_travels_and_is_removed() -> None:
    identity = Identity(3, "nöde \udcff 'x'\n", "host", 7)
    environ = {dialling.WHO: identity_text(identity), "HOME": "/"}
    assert take_identity(environ) == identity
    assert environ == {"HOME": "/"}


@pytest.mark.parametrize("text", ["", "3", "[]", "{}", '{"tid": 3, "rank": 1}'])
def test_what_is_no_identity_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="TRACKING_SLAVE does not say who this slave is"):
        take_identity({dialling.WHO: text})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [([], "give the addresses"), (["x"], "is no address"), (["127.0.0.1:1"], "key must be handed over in one way")],
)
def test_what_is_wrong_is_said_in_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in keys.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert main(arguments) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert words in told


@pytest.mark.parametrize("way", ["environment", "file"])
def test_it_can_be_started_by_hand(way: str, tmp_path: Path) -> None:
    """As a batch system does it: ``python -m tracking.slave.dialling`` with the key in a file or the environment."""
    listener = Listener(KEY)
    listener.expect(TID)
    KEY.into_file(tmp_path / "key")
    environment = keys.without_key(os.environ) | {dialling.WHO: identity_text(Identity(TID, "node", "node"))}
    environment |= KEY.for_environment() if way == "environment" else {keys.BY_FILE: str(tmp_path / "key")}
    slave = subprocess.Popen(
        [sys.executable, "-m", "tracking.slave.dialling", f"127.0.0.1:{listener.port}"], env=environment, cwd=ROOT
    )
    lines = []
    while len(lines) < 2:
        assert select.select([listener], [], [], 30)[0]
        lines += listener.poll()
    for line in lines:
        line.socket.close()
    assert slave.wait(30) == -9  # its lines are gone: it ends at once, with its group
    listener.close()
