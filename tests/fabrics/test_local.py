"""Slaves on this machine, and their starter."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.slave import jobs
from tests.slave.puppet import TIMEOUT_S, wait_for_end, wait_for_news
from tracking.fabrics import local
from tracking.fabrics.base import Condition, SlaveEnded, SlaveSpec
from tracking.fabrics.local import LocalFabric, how_it_ended
from tracking.testing.contracts import FabricContract, Slaves
from tracking.wire import messages as m

ROOT = Path(__file__).parents[2]


class TestLocalFabric(FabricContract):
    @pytest.fixture
    def fabric(self) -> Iterator[LocalFabric]:
        fabric = LocalFabric()
        yield fabric
        fabric.close()


@pytest.fixture
def fabric() -> Iterator[LocalFabric]:
    fabric = LocalFabric()
    yield fabric
    fabric.close()


@pytest.fixture
def slaves(fabric: LocalFabric) -> Iterator[Slaves]:
    slaves = Slaves(fabric)
    yield slaves
    slaves.close()


def children(pid: int | str = "self") -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def kill_starter() -> None:
    (starter,) = children()
    os.kill(starter, signal.SIGKILL)
    wait_for_end(starter)


def test_slaves_of_a_killed_starter_are_gone_with_all_that_they_started(fabric: LocalFabric, slaves: Slaves) -> None:
    puppets = [slaves.start(tid) for tid in (2, 3)]
    pids = [puppet.expect(m.HELLO)[3] for puppet in puppets]
    puppets[0].set_up(jobs.obey)
    (grandchild,), _ = puppets[0].do(["start_child"])
    assert fabric.poll() == []
    kill_starter()
    for pid in pids:
        wait_for_end(pid)
    assert wait_for_news(fabric, 2) == [SlaveEnded(tid, "lost with its starter process") for tid in (2, 3)]
    wait_for_end(grandchild)


def test_after_its_starter_was_killed_the_next_slave_gets_a_new_one(fabric: LocalFabric, slaves: Slaves) -> None:
    slaves.start(2).expect(m.HELLO)
    kill_starter()
    slaves.start(3).expect(m.HELLO)
    assert wait_for_news(fabric) == [SlaveEnded(2, "lost with its starter process")]


def test_who_watches_by_number_sees_that_a_new_starter_has_another_line(fabric: LocalFabric, slaves: Slaves) -> None:
    fabric.prepare()
    slaves.start(2)
    (before,) = fabric.descriptors()
    kill_starter()
    wait_for_news(fabric)
    assert list(fabric.descriptors()) == []
    fabric.prepare()
    (after,) = fabric.descriptors()
    assert before != after


def test_a_slave_that_cannot_be_forked_is_told_of_and_the_others_live_on(
    fabric: LocalFabric, slaves: Slaves, monkeypatch: pytest.MonkeyPatch
) -> None:
    argv_of = local.starter_argv

    def argv_without_room(descriptor: int, variables: Iterable[str]) -> list[str]:
        *options, code = argv_of(descriptor, variables)
        room_for_one = (
            "import os; fork = os.fork\n"
            "def limited():\n"
            "    global room\n"
            "    if not room: raise BlockingIOError(11, 'Resource temporarily unavailable')\n"
            "    room -= 1\n"
            "    return fork()\n"
            "room = 1; os.fork = limited\n"
        )
        return [*options, room_for_one + code]

    monkeypatch.setattr(local, "starter_argv", argv_without_room)
    first = slaves.start(2)
    slaves.start(3)
    assert wait_for_news(fabric) == [SlaveEnded(3, "could not be started: Resource temporarily unavailable")]
    first.set_up(jobs.square)
    assert first.do([2]) == ([4], {})


def test_a_starter_that_cannot_be_started_is_an_os_error_and_leaves_nothing(
    fabric: LocalFabric, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(FileNotFoundError):
        fabric.start(SlaveSpec(2, "node", "node"))


def test_slaves_hold_no_lines_of_others(slaves: Slaves) -> None:
    puppets = [slaves.start(tid) for tid in range(2, 6)]
    for puppet in puppets:
        puppet.set_up(jobs.obey)
    held = [puppet.do(["describe"])[0][0]["descriptors"].values() for puppet in puppets]
    sockets = [{target for target in targets if target.startswith("socket:")} for targets in held]
    assert [len(own) for own in sockets] == [2] * 4
    assert len(set.union(*sockets)) == 8


def test_the_starter_keeps_no_zombies_and_no_lines(fabric: LocalFabric, slaves: Slaves) -> None:
    slaves.start(2)
    slaves.start(3).send((m.STOP, 0))
    wait_for_news(fabric)
    (starter,) = children()
    before = len(os.listdir(f"/proc/{starter}/fd"))
    for tid in range(4, 9):
        slaves.start(tid).send((m.STOP, 0))
    wait_for_news(fabric, 5)
    assert len(children(starter)) == 1
    assert len(os.listdir(f"/proc/{starter}/fd")) == before


def test_128_slaves_start_and_work(slaves: Slaves) -> None:
    puppets = [slaves.start(tid) for tid in range(2, 130)]
    for puppet in puppets:
        assert puppet.expect(m.HELLO)[2] == m.PROTOCOL_VERSION
    puppets[-1].set_up(jobs.square)
    assert puppets[-1].do([5]) == ([25], {})


def look_until(fabric: LocalFabric, tid: int, condition: Condition) -> None:
    end = time.monotonic() + TIMEOUT_S
    while fabric.look_at(tid) is not condition:
        assert time.monotonic() < end, f"{fabric.look_at(tid)}, never {condition}"
        time.sleep(0.01)  # a kernel tells only its parent that a process is stopped


def test_a_slave_is_seen_to_work_to_be_stopped_or_to_do_neither(fabric: LocalFabric, slaves: Slaves) -> None:
    assert fabric.look_at(2) is Condition.UNKNOWN
    puppet = slaves.start(2)
    pid = puppet.expect(m.HELLO)[3]
    puppet.set_up(jobs.obey)
    fabric.poll()
    os.kill(pid, signal.SIGSTOP)
    look_until(fabric, 2, Condition.STOPPED)
    assert fabric.look_at(2) is Condition.STOPPED
    os.kill(pid, signal.SIGCONT)
    look_until(fabric, 2, Condition.UNKNOWN)
    puppet.give(1, ["hold_interpreter"])
    look_until(fabric, 2, Condition.WORKING)
    fabric.stop(2)
    wait_for_news(fabric)
    assert fabric.look_at(2) is Condition.UNKNOWN


def test_a_starter_that_was_stopped_obeys_all_the_same(fabric: LocalFabric, slaves: Slaves) -> None:
    slaves.start(2).expect(m.HELLO)
    (starter,) = children()
    os.kill(starter, signal.SIGSTOP)
    slaves.start(3).expect(m.HELLO)
    os.kill(starter, signal.SIGSTOP)
    fabric.stop(2)
    assert wait_for_news(fabric) == [SlaveEnded(2, "killed by SIGKILL")]
    os.kill(starter, signal.SIGSTOP)
    fabric.close()


MASTER = """
import sys
from tests.slave import jobs
from tests.slave.puppet import Puppet
from tracking.fabrics.local import LocalFabric
from tracking.wire import messages as m

fabric = LocalFabric()
puppets = [Puppet(fabric, tid) for tid in (2, 3)]
for puppet in puppets:
    puppet.set_up(jobs.obey)
(child,), _ = puppets[0].do(["start_child"])
puppets[1].give(1, ["hold_interpreter"])
puppets[1].read_output(lambda text: "holding" in text)
print(child, *(puppet.expect(m.HELLO)[3] for puppet in puppets), flush=True)
sys.stdin.read()
"""


def test_slaves_of_a_killed_master_are_gone_soon_also_in_c_code_that_lets_no_thread_run() -> None:
    master = subprocess.Popen(
        [sys.executable, "-c", MASTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert master.stdout is not None
    pids = [int(pid) for pid in master.stdout.readline().split()]
    assert len(pids) == 3
    starters = children(master.pid)
    master.kill()
    master.communicate()
    for pid in [*pids, *starters]:
        wait_for_end(pid, timeout_s=20)  # 5 are the promise; this machine may be shared with others


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "ended with exit status 0"),
        (255 << 8, "ended with exit status 255"),
        (int(signal.SIGSEGV) | 128, "killed by SIGSEGV"),
        (40, "killed by signal 40"),
    ],
)
def test_a_wait_status_is_put_into_words(status: int, words: str) -> None:
    assert how_it_ended(status) == words


def test_slaves_that_are_ordered_at_once_all_come_up_also_where_one_of_them_is_ended_at_once(
    fabric: LocalFabric, slaves: Slaves
) -> None:
    fabric.prepare()
    (starter,) = children()
    os.kill(starter, signal.SIGSTOP)  # orders gather
    puppets = {tid: slaves.start(tid) for tid in range(2, 42)}
    fabric.stop(20)
    os.kill(starter, signal.SIGCONT)
    for tid, puppet in puppets.items():
        if tid != 20:
            assert puppet.expect(m.HELLO)
    assert wait_for_news(fabric) == [SlaveEnded(20, "killed by SIGKILL")]
