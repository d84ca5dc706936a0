"""Slaves that dial back."""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fabrics.contract import FabricContract, Slaves
from tests.slave import jobs
from tests.slave.puppet import wait_for_end, wait_for_news, wait_readable
from tracking import InputError, SlavePool
from tracking.fabrics.base import Condition, SlaveEnded, SlaveSpec
from tracking.fabrics.dialled import DialledFabric, slave_argv
from tracking.fabrics.registry import make_fabric
from tracking.wire import keys
from tracking.wire import messages as m

ROOT = Path(__file__).parents[2]


class TestDialledFabric(FabricContract):
    @pytest.fixture
    def fabric(self) -> Iterator[DialledFabric]:
        fabric = DialledFabric()
        yield fabric
        fabric.close()


@pytest.fixture
def fabric() -> Iterator[DialledFabric]:
    fabric = DialledFabric()
    yield fabric
    fabric.close()


@pytest.fixture
def slaves(fabric: DialledFabric) -> Iterator[Slaves]:
    slaves = Slaves(fabric)
    yield slaves
    slaves.close()


def ports_open_here() -> set[int]:
    """TCP ports on which this process listens."""
    own = {os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if fd.isdigit() and _is_open(fd)}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(row[1].partition(":")[2], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in own}


def _is_open(fd: str) -> bool:
    try:
        os.fstat(int(fd))
    except OSError:
        return False
    return True


def environment_of(pid: int) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(pair.partition("=")[::2] for pair in pairs if pair)


def command_line_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def test_it_has_a_name() -> None:
    fabric = make_fabric("dialled")
    assert isinstance(fabric, DialledFabric)
    fabric.close()


def test_only_slaves_elsewhere_must_hear_of_the_master() -> None:
    assert DialledFabric().master_silence_s is None
    assert DialledFabric(address="0.0.0.0").master_silence_s == 60.0  # noqa: S104  (nothing listens)
    assert DialledFabric(master_silence_s=5.0).master_silence_s == 5.0


def test_a_slave_that_was_promised_to_hear_of_its_master_ends_when_it_does_not(
    fabric: DialledFabric, slaves: Slaves
) -> None:
    puppet = slaves.start(2)
    puppet.tell((m.BEAT, 0, 0.3))
    puppet.expect(m.ALIVE)
    (ended,) = wait_for_news(fabric)
    assert ended.how == "killed by SIGKILL"


def test_slaves_of_a_pool_that_does_nothing_still_hear_of_it() -> None:
    with SlavePool(1, fabric=DialledFabric(master_silence_s=1.0)) as pool:
        pid = pool.submit(os.getpid).result()
        poller = select.poll()
        descriptor = os.pidfd_open(pid)
        try:
            poller.register(descriptor, select.POLLIN)
            assert not poller.poll(2500), "it has ended"
        finally:
            os.close(descriptor)
        assert pool.submit(os.getpid).result() == pid


def test_what_a_slave_does_can_be_seen(fabric: DialledFabric, slaves: Slaves) -> None:
    puppet = slaves.start(2)
    pid = puppet.expect(m.HELLO)[3]
    puppet.set_up(jobs.obey)
    puppet.give(1, ["hold_interpreter"])
    puppet.read_output(lambda text: "holding" in text)
    end = time.monotonic() + 30
    while fabric.look_at(2) is not Condition.WORKING:
        assert time.monotonic() < end
    os.kill(pid, signal.SIGSTOP)
    while fabric.look_at(2) is not Condition.STOPPED:
        assert time.monotonic() < end
    assert fabric.look_at(99) is Condition.UNKNOWN


def test_a_port_is_open_only_while_slaves_are_awaited(fabric: DialledFabric, slaves: Slaves) -> None:
    assert ports_open_here() == set()
    fabric.start(SlaveSpec(2, "node", "node"))
    assert len(ports_open_here()) == 1
    fabric.stop(2)
    wait_for_news(fabric)
    assert ports_open_here() == set()
    slaves.start(3)
    assert ports_open_here() == set()


def test_it_listens_on_the_loopback_only(fabric: DialledFabric) -> None:
    fabric.start(SlaveSpec(2, "node", "node"))
    (port,) = ports_open_here()
    rows = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    assert f"0100007F:{port:04X}" in rows


@pytest.mark.parametrize("key_by", ["pipe", "environment"])
def test_the_key_is_on_no_command_line_and_not_inherited_by_what_the_work_starts(key_by: str) -> None:
    fabric = DialledFabric(key_by=key_by)
    slaves = Slaves(fabric)
    try:
        puppet = slaves.start(2)
        pid = puppet.expect(m.HELLO)[3]
        secret = fabric._key._secret.hex()
        assert secret not in command_line_of(pid)
        assert (secret in environment_of(pid).values()) is (key_by == "environment")
        puppet.set_up(jobs.obey)
        (child,), _ = puppet.do(["start_child"])
        assert not {*keys.VARIABLES, "TRACKING_SLAVE"} & environment_of(child).keys()
    finally:
        slaves.close()
        fabric.close()


def test_slaves_hold_no_lines_of_others_and_no_key_pipe(slaves: Slaves) -> None:
    puppets = [slaves.start(tid) for tid in range(2, 5)]
    for puppet in puppets:
        puppet.set_up(jobs.obey)
    held = [puppet.do(["describe"])[0][0]["descriptors"] for puppet in puppets]
    for targets in held:
        assert sum(target.startswith("socket:") for target in targets.values()) == 2
        assert all(descriptor < 3 for descriptor, target in targets.items() if target.startswith("pipe:"))


def test_slaves_have_the_niceness_that_they_shall_have(slaves: Slaves) -> None:
    puppet = slaves.start(2, niceness=3)
    puppet.set_up(jobs.obey)
    assert puppet.do(["describe"])[0][0]["nice"] == os.getpriority(os.PRIO_PROCESS, 0) + 3


def test_a_slave_whose_work_waits_for_its_children_finds_none_of_ours(slaves: Slaves) -> None:
    puppet = slaves.start(2)
    puppet.set_up(jobs.obey)
    (found,), _ = puppet.do(["count_children"])
    assert found == 0


def test_a_command_that_cannot_be_started_is_an_os_error_and_leaves_nothing() -> None:
    fabric = DialledFabric(["/no/such/command"])
    with pytest.raises(FileNotFoundError):
        fabric.start(SlaveSpec(2, "node", "node"))
    assert ports_open_here() == set()
    fabric.close()


def test_one_that_cannot_be_watched_is_not_left_behind(fabric: DialledFabric, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "pidfd_open", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        fabric.start(SlaveSpec(2, "node", "node"))
    assert ports_open_here() == set()


def test_what_a_command_that_never_dials_has_printed_is_told_with_its_end() -> None:
    fabric = DialledFabric(["sh", "-c", "echo no such module; exit 4"])
    try:
        fabric.start(SlaveSpec(2, "node", "node"))
        assert wait_for_news(fabric) == [SlaveEnded(2, "ended with exit status 4", b"no such module\n")]
    finally:
        fabric.close()


def test_a_slave_with_another_key_says_why_it_ends(fabric: DialledFabric) -> None:
    fabric._listen()
    fabric._key = keys.Key()  # another than that of the listener
    fabric.start(SlaveSpec(2, "node", "node"))
    (ended,) = wait_for_news(fabric)
    assert ended.how == "ended with exit status 1"
    assert b"its master was not found: 127.0.0.1 port" in ended.printed
    assert b"it does not know our key: it is not our master" in ended.printed


def test_there_are_two_ways_for_the_key() -> None:
    with pytest.raises(InputError, match="key_by must be 'pipe' or 'environment', not 'argument'"):
        DialledFabric(key_by="argument")


def test_a_slave_finds_its_master_under_any_of_its_names() -> None:
    fabric = DialledFabric(reachable_as=["no-such-host.invalid", "127.0.0.3", "localhost"])
    slaves = Slaves(fabric)
    try:
        slaves.start(2).expect(m.HELLO)
    finally:
        slaves.close()
        fabric.close()


def test_a_slave_that_has_only_one_line_by_the_time_it_ends_leaves_none(fabric: DialledFabric) -> None:
    fabric.start(SlaveSpec(2, "node", "node"))
    while not fabric._started[2].lines:
        wait_readable(*fabric.descriptors())
        fabric.poll()
    fabric.stop(2)
    assert wait_for_news(fabric)[0].how == "killed by SIGKILL"


def test_a_slave_that_cannot_hear_is_gone_soon_after_its_line(slaves: Slaves) -> None:
    """Deep in C code it lets no thread run; its guard sees the end of its lines."""
    puppet = slaves.start(2)
    pid = puppet.expect(m.HELLO)[3]
    puppet.set_up(jobs.obey)
    puppet.give(1, ["hold_interpreter"])
    puppet.read_output(lambda text: "holding" in text)
    puppet.lines.line.close()
    puppet.lines.control.close()
    wait_for_end(pid)


MASTER = """
import sys
from tests.slave import jobs
from tests.slave.puppet import Puppet
from tracking.fabrics.dialled import DialledFabric
from tracking.wire import messages as m

fabric = DialledFabric()
puppets = [Puppet(fabric, tid) for tid in (2, 3)]
for puppet in puppets:
    puppet.set_up(jobs.obey)
(child,), _ = puppets[0].do(["start_child"])
puppets[1].give(1, ["hold_interpreter"])
puppets[1].read_output(lambda text: "holding" in text)
print(child, *(puppet.expect(m.HELLO)[3] for puppet in puppets), flush=True)
sys.stdin.read()
"""


def test_slaves_of_a_killed_master_are_gone_within_5_seconds_also_in_c_code_that_lets_no_thread_run() -> None:
    master = subprocess.Popen(
        [sys.executable, "-c", MASTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert master.stdout is not None
    pids = [int(pid) for pid in master.stdout.readline().split()]
    assert len(pids) == 3
    master.kill()
    master.communicate()
    for pid in pids:
        wait_for_end(pid, timeout_s=5)


def test_a_slave_that_was_killed_takes_its_guard_with_it(fabric: DialledFabric, slaves: Slaves) -> None:
    puppet = slaves.start(2)
    pid = puppet.expect(m.HELLO)[3]
    members = group_members(pid)
    assert len(members) == 2
    os.kill(pid, signal.SIGKILL)
    wait_for_news(fabric)
    for member in members:
        wait_for_end(member)


def group_members(group: int) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.getpgid(int(name)) == group:
                    found.append(int(name))
            except ProcessLookupError:
                continue
    return found


def test_a_pool_works_with_slaves_that_dial() -> None:
    with SlavePool(2, fabric=DialledFabric()) as pool:
        assert list(pool.map(jobs.square, range(50))) == [n * n for n in range(50)]


def test_garbage_on_the_port_costs_the_slaves_nothing(fabric: DialledFabric) -> None:
    fabric.start(SlaveSpec(2, "node", "node"))
    (port,) = ports_open_here()
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(b"GET / HTTP/1.0\r\n\r\n")
        news: list[object] = []
        while not news:
            select.select(list(fabric.descriptors()), [], [], 30)
            news += fabric.poll()
    for one in news:
        one.lines.line.close()  # type: ignore[attr-defined]
        one.lines.control.close()  # type: ignore[attr-defined]
        os.close(one.lines.output)  # type: ignore[attr-defined]


def test_the_command_looks_for_nothing_in_the_directory_that_it_is_in() -> None:
    assert "-P" in slave_argv()
