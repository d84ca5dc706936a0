"""Slaves on relays: the contract of all fabrics, and what happens to relays."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from typing import Any

import pytest

from tests.fabrics.relays import LauncherHere
from tests.slave import jobs
from tests.slave.puppet import attend, news_of, wait_for_news
from tracking import SlavePool, TrackingJobMaster
from tracking.fabrics import relayed, seating
from tracking.fabrics.base import SlaveEnded, SlaveSpec
from tracking.fabrics.launcher import RelayNews, RelayUp
from tracking.fabrics.relayed import RelayedFabric
from tracking.slave.relay import VERSION
from tracking.testing.contracts import FabricContract, Slaves
from tracking.wire import messages as m
from tracking.wire.carriers import SocketCarrier
from tracking.wire.streams import Streams


class TestOneRelayAHost(FabricContract):
    @pytest.fixture
    def fabric(self) -> Iterator[RelayedFabric]:
        fabric = RelayedFabric(LauncherHere(is_by_host=True))
        yield fabric
        fabric.close()


class TestOneRelayASlave(FabricContract):
    @pytest.fixture
    def fabric(self) -> Iterator[RelayedFabric]:
        fabric = RelayedFabric(LauncherHere())
        yield fabric
        fabric.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_slave_that_is_ended_together_with_its_relay_as_queues_do_is_innocent(number: signal.Signals) -> None:
    launcher = LauncherHere()
    fabric = RelayedFabric(launcher)
    slaves = Slaves(fabric)
    slave = slaves.start(2).expect(m.HELLO)[3]
    (relay,) = launcher.processes.values()
    relay.send_signal(signal.SIGSTOP)  # so that it sees both at once
    os.kill(slave, number)
    relay.send_signal(number)
    relay.send_signal(signal.SIGCONT)
    (ended,) = wait_for_news(fabric)
    assert ended.tid == 2
    assert ended.is_innocent
    slaves.close()
    fabric.close()


@pytest.fixture
def launcher() -> LauncherHere:
    return LauncherHere(is_by_host=True)


@pytest.fixture
def fabric(launcher: LauncherHere) -> Iterator[RelayedFabric]:
    with closing(RelayedFabric(launcher)) as fabric:
        yield fabric


@pytest.fixture
def slaves(fabric: RelayedFabric) -> Iterator[Slaves]:
    with closing(Slaves(fabric)) as slaves:
        yield slaves


@pytest.fixture
def lost_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine, which has nothing to say here, is not given time to say why a line was cut."""
    monkeypatch.setattr(relayed, "_REASON_S", 0.0)
    monkeypatch.setattr(relayed, "_LOOK_S", 0.01)


def relay_of(launcher: LauncherHere) -> subprocess.Popen[bytes]:
    """The one that was started last."""
    return launcher.processes[max(launcher.processes)]


# ---- relays end


def test_slaves_of_a_relay_that_is_killed_are_innocent_and_end_once(
    fabric: RelayedFabric, launcher: LauncherHere, slaves: Slaves
) -> None:
    for tid in (2, 3):
        slaves.start(tid)
    relay_of(launcher).kill()
    ended = wait_for_news(fabric, 2)
    assert {(one.tid, one.how, one.is_innocent) for one in ended} == {
        (tid, f"relay {max(launcher.processes)} ended with -9", True) for tid in (2, 3)
    }
    assert fabric.poll() == []


def test_what_slaves_had_sent_before_their_relay_was_killed_is_delivered(
    fabric: RelayedFabric, launcher: LauncherHere, slaves: Slaves
) -> None:
    puppet = slaves.start(2)
    puppet.set_up(jobs.obey)
    puppet.do([("print", "seen")])
    puppet.give(2, [("give", b"x" * 100_000)])
    puppet.give(3, ["hold_by_sleep"])
    puppet.read_output(lambda text: text.endswith("holding\n"))
    relay_of(launcher).kill()
    wait_for_news(fabric)
    (result,), _ = puppet.answer(2)
    assert result == b"x" * 100_000


@pytest.mark.usefixtures("lost_at_once")
def test_a_relay_that_is_silent_is_lost_and_replaced_by_another(
    fabric: RelayedFabric, launcher: LauncherHere, slaves: Slaves
) -> None:
    slaves.start(2)
    silent = relay_of(launcher)
    silent.send_signal(signal.SIGSTOP)
    launcher.silence_s = 0.5
    (ended,) = wait_for_news(fabric)
    assert ended.is_innocent
    assert "not heard for 0.5 s" in ended.how
    silent.send_signal(signal.SIGCONT)
    launcher.silence_s = 10.0
    slaves.start(3).expect(m.HELLO)
    assert len(launcher.launches) == 2


def test_a_relay_that_is_quiet_because_nothing_happens_is_not_lost(
    fabric: RelayedFabric, launcher: LauncherHere, slaves: Slaves
) -> None:
    launcher.silence_s = 2.0
    puppet = slaves.start(2)
    puppet.set_up(jobs.obey)
    assert puppet.do([("sleep", 3.0)])[1] == {}


def test_a_slave_that_is_replaced_is_seated_on_the_relay_that_is_there(
    fabric: RelayedFabric, launcher: LauncherHere, slaves: Slaves
) -> None:
    slaves.start(2)
    for tid in (3, 4, 5):
        fabric.stop(tid - 1)
        wait_for_news(fabric)
        slaves.start(tid).expect(m.HELLO)
    assert len(launcher.launches) == 1


def test_a_relay_that_nobody_wants_for_long_is_let_go(
    fabric: RelayedFabric, launcher: LauncherHere, slaves: Slaves, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seating, "_IDLE_S", 0.2)
    slaves.start(2).send((m.STOP, 0))
    wait_for_news(fabric)
    relay = relay_of(launcher)
    while relay.returncode is None:
        attend(fabric)
    assert relay.returncode in (0, -signal.SIGTERM)  # its launcher stops it, too: perhaps when it is as good as gone
    slaves.start(3).expect(m.HELLO)
    assert len(launcher.launches) == 2


# ---- relays that never come


def test_a_launcher_that_refuses_is_told_of_by_the_end_of_the_slave(
    fabric: RelayedFabric, launcher: LauncherHere
) -> None:
    launcher.refusal = OSError(28, "No space left on device")
    fabric.start(SlaveSpec(2, "node_2", "node"))
    (ended,) = wait_for_news(fabric)
    assert ended == SlaveEnded(2, "could not be started: [Errno 28] No space left on device", is_innocent=True)


def test_a_relay_that_ends_before_it_is_up_ends_all_that_waited_for_it(
    fabric: RelayedFabric, launcher: LauncherHere
) -> None:
    for tid in (2, 3):
        fabric.start(SlaveSpec(tid, f"node_{tid}", "node"))
    launcher.is_mute = True
    fabric.poll()
    relay_of(launcher).kill()
    assert {ended.tid for ended in wait_for_news(fabric, 2)} == {2, 3}


def test_one_that_waits_can_be_stopped(fabric: RelayedFabric, launcher: LauncherHere) -> None:
    launcher.is_mute = True
    fabric.start(SlaveSpec(2, "node_2", "node"))
    fabric.poll()
    fabric.stop(2)
    assert wait_for_news(fabric) == [SlaveEnded(2, "ended before it was started")]


def test_while_relays_are_waited_for_nothing_is_polled_in_a_hurry() -> None:
    launcher = LauncherHere()
    now = [0.0]
    with closing(RelayedFabric(launcher, lambda: now[0])) as fabric, closing(Slaves(fabric)) as slaves:
        slaves.start(2).expect(m.HELLO)
        launcher.is_mute = True
        fabric.start(SlaveSpec(3, "node_3", "node"))
        for _ in range(3):
            now[0] += 1.1
            fabric.poll()
        assert launcher.launches == [(1, ""), (1, "")]
        assert (fabric.poll_within_s() or 0.0) > 1.0


# ---- what relays are told, and what they tell


@pytest.mark.parametrize("is_by_host", [True, False], ids=["now", "later"])
def test_what_is_to_be_loaded_ahead_reaches_relays(is_by_host: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = LauncherHere(is_by_host=is_by_host)
    with closing(RelayedFabric(launcher)) as fabric, closing(Slaves(fabric)) as slaves:
        slaves.start(2)
        fabric.preload(["dill"])
        monkeypatch.setattr(seating, "PATIENCE_S", 0.0)
        puppet = slaves.start(3)
        assert len(launcher.launches) == (1 if is_by_host else 2)
        puppet.set_up(is_loaded)
        assert puppet.do(["dill"]) == ([True], {})


def is_loaded(name: str) -> bool:
    return name in sys.modules


UP = {"is": "up", "version": VERSION, "host": "h", "pid": 1, "slots": None, "left_s": None}


@pytest.mark.parametrize(
    "said",
    [
        {**UP, "slots": 0},
        {**UP, "slots": "many"},
        {**UP, "pid": 0},
        {**UP, "left_s": float("nan")},
        {**UP, "left_s": "soon"},
        {**UP, "host": ["h"]},
        {"is": "up"},
        {"is": "ended", "tid": 3, "status": 0},
        {"is": "ended", "tid": [2], "status": 0},
        {"is": "ended", "tid": 2},
        {"is": "ended", "tid": 2, "status": 0x137F},
        {"is": "ended", "tid": 2, "status": 1 << 70},
        {"is": "not_forked", "tid": 2, "why": 7},
        {"is": "not_forked", "tid": 2, "why": "x" * 5000},
        {"is": "seen", "tid": 2, "state": ["R"], "ticks": 1},
        {"is": "seen", "tid": 2, "state": "R", "ticks": None},
        {"is": "kept", "parcel": 0, "well": True},
        {"is": "kept", "parcel": 1, "well": "yes"},
        {"is": "nonsense"},
        {},
    ],
)
@pytest.mark.usefixtures("lost_at_once")
def test_a_relay_that_makes_no_sense_is_lost_alone(said: dict[str, Any]) -> None:
    launcher = ScriptedRelays()
    with closing(RelayedFabric(launcher)) as fabric, closing(Slaves(fabric)) as slaves:
        slaves.start(3).expect(m.HELLO)
        launcher.script = [said] if said.get("is") == "up" else [UP, said]
        fabric.start(SlaveSpec(2, "node_2", "mad"))
        ended = the_end(fabric)
        assert (ended.tid, ended.is_innocent) == (2, True)
        assert "nothing of ours" in ended.how
        slaves.start(4).expect(m.HELLO)
        assert len(launcher.launches) == 2


@pytest.mark.usefixtures("lost_at_once")
@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\0\4\0\0\x27\x10" + b"[" * 10_000])
def test_a_relay_that_speaks_another_language_is_lost_alone(data: bytes) -> None:
    launcher = ScriptedRelays()
    with closing(RelayedFabric(launcher)) as fabric:
        launcher.script = [data]
        fabric.start(SlaveSpec(2, "node_2", "mad"))
        (ended,) = wait_for_news(fabric)
        assert "nothing of ours" in ended.how


@pytest.mark.usefixtures("lost_at_once")
def test_a_relay_of_another_release_is_not_used() -> None:
    launcher = ScriptedRelays()
    with closing(RelayedFabric(launcher)) as fabric:
        launcher.script = [{"is": "up", "version": VERSION + 1}]
        fabric.start(SlaveSpec(2, "node_2", "mad"))
        (ended,) = wait_for_news(fabric)
        assert "another release" in ended.how


def the_end(fabric: RelayedFabric) -> SlaveEnded:
    """Of a slave, which may have got lines before."""
    while True:
        for news in [*fabric.poll(), *news_of(fabric)]:
            if isinstance(news, SlaveEnded):
                return news
            for line in (news.lines.line, news.lines.control):
                line.close()
            os.close(news.lines.output or -1)
        attend(fabric)


class ScriptedRelays(LauncherHere):
    """As LauncherHere; but on host 'mad' relays say what they are scripted to, when they are told to start a slave.

    Attributes:
        script: what they say, in order: 'up' and bytes at once, the rest behind the order to start.
    """

    def __init__(self) -> None:
        super().__init__(is_by_host=True)
        self.script: list[dict[str, Any] | bytes] = []
        self._lines: list[socket.socket] = []

    def launch(self, numbers: Sequence[int], host: str) -> None:
        if host != "mad":
            super().launch(numbers, host)
            return
        self.launches.append((len(numbers), host))
        for number in numbers:
            near, far = socket.socketpair()
            self._lines.append(far)
            self._news.append(RelayUp(number, SocketCarrier(near, f"mad relay {number}")))
            streams = Streams()
            for said in self.script:
                if isinstance(said, bytes):
                    far.sendall(said)
                else:
                    streams.say(**said)
            self._pending = b"".join(streams.pieces())
            far.sendall(self._pending[: self._first_bytes()])
            far.setblocking(False)

    def _first_bytes(self) -> int:
        streams = Streams()
        for said in self.script[:1]:
            if not isinstance(said, bytes):
                streams.say(**said)
        return streams.outgoing_bytes

    def poll(self) -> list[RelayNews]:
        for line in self._lines:
            with suppress(BlockingIOError):
                if b'"start"' in line.recv(65536):
                    line.sendall(self._pending[self._first_bytes() :])
        return super().poll()

    def descriptors(self) -> Iterable[int]:
        return [*super().descriptors(), *(line.fileno() for line in self._lines)]

    def line_is_cut(self, number: int) -> None:
        for line in self._lines:
            line.close()
        self._lines.clear()

    def close(self) -> None:
        self.line_is_cut(0)
        super().close()


# ---- a calculation


def test_a_calculation_survives_relays_that_are_killed_at_random() -> None:
    launcher = LauncherHere()
    killer = random.Random(7)
    data = {i: i for i in range(600)}
    kills = 0

    class KillsRelays(TrackingJobMaster):
        def job_done(self, slave_id: int, results: Any) -> None:
            nonlocal kills
            super().job_done(slave_id, results)
            living = [process for process in launcher.processes.values() if process.poll() is None]
            if kills < 5 and living and killer.random() < 0.05:
                killer.choice(living).kill()
                kills += 1

    with SlavePool(["here"] * 3, fabric=RelayedFabric(launcher), host_failures=None) as pool:
        master = KillsRelays(data, function=jobs.square, chunk_size=1, redistribute=0, pool=pool, verbose=0)
        assert master.calculateResult() == {i: i * i for i in data}
    assert kills == 5
