"""Slaves that dial back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slave import jobs
from tests.slave.puppet import attend, wait_for_end, wait_for_news
from tracking import SlavePool
from tracking.fabrics.base import Condition, SlaveSpec
from tracking.fabrics.dialled import DialledFabric, relay_argv
from tracking.fabrics.registry import make_fabric
from tracking.testing.contracts import FabricContract, Slaves
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


@pytest.mark.slow  # what differs is the line: tests/wire/test_tls.py; and TestDialled in test_calculations.py is quick
class TestEncrypted(FabricContract):
    @pytest.fixture
    def fabric(self) -> Iterator[DialledFabric]:
        fabric = DialledFabric(is_encrypted=True)
        yield fabric
        fabric.close()


def begin(fabric: DialledFabric, tid: int = 2) -> None:
    """Have the fabric ask for a slave."""
    fabric.start(SlaveSpec(tid, "node", "localhost"))
    attend(fabric, None, 0.0)


def test_it_has_a_name() -> None:
    fabric = make_fabric("dialled")
    assert isinstance(fabric, DialledFabric)
    fabric.close()


def test_what_a_slave_does_can_be_seen(fabric: DialledFabric, slaves: Slaves) -> None:
    puppet = slaves.start(2)
    pid = puppet.expect(m.HELLO)[3]
    puppet.set_up(jobs.obey)
    puppet.give(1, ["hold_interpreter"])
    puppet.read_output(lambda text: "holding" in text)
    end = time.monotonic() + 30
    while fabric.look_at(2) is not Condition.WORKING:
        assert time.monotonic() < end
        attend(fabric, None, 0.05)
    os.kill(pid, signal.SIGSTOP)
    while fabric.look_at(2) is not Condition.STOPPED:
        assert time.monotonic() < end
        attend(fabric, None, 0.05)
    assert fabric.look_at(99) is Condition.UNKNOWN


def test_no_port_is_open_before_a_slave_is_wanted_and_after_the_end(fabric: DialledFabric) -> None:
    assert ports_open_here() == set()
    begin(fabric)
    assert len(ports_open_here()) == 1
    fabric.close()
    assert ports_open_here() == set()


def test_it_listens_on_the_loopback_only(fabric: DialledFabric) -> None:
    begin(fabric)
    (port,) = ports_open_here()
    rows = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    assert f"0100007F:{port:04X}" in rows


def test_slaves_have_the_niceness_that_they_shall_have(slaves: Slaves) -> None:
    puppet = slaves.start(2, niceness=3)
    puppet.set_up(jobs.obey)
    assert puppet.do(["describe"])[0][0]["nice"] == max(os.getpriority(os.PRIO_PROCESS, 0), 3)


def test_a_slave_whose_work_waits_for_its_children_finds_none_of_ours(slaves: Slaves) -> None:
    puppet = slaves.start(2)
    puppet.set_up(jobs.obey)
    (found,), _ = puppet.do(["count_children"])
    assert found == 0


def test_a_slave_finds_its_master_under_any_of_its_names() -> None:
    fabric = DialledFabric(reachable_as=["no-such-host.invalid", "127.0.0.3", "localhost"])
    slaves = Slaves(fabric)
    try:
        slaves.start(2).expect(m.HELLO)
    finally:
        slaves.close()
        fabric.close()


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


def test_slaves_of_a_killed_master_are_gone_soon_also_in_c_code_that_lets_no_thread_run() -> None:
    master = subprocess.Popen(
        [sys.executable, "-c", MASTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert master.stdout is not None
    pids = [int(pid) for pid in master.stdout.readline().split()]
    assert len(pids) == 3
    master.kill()
    master.communicate()
    for pid in pids:
        wait_for_end(pid, timeout_s=20)  # 5 are the promise; this machine may be shared with others


def test_the_ticket_is_on_no_command_line_and_in_no_environment(fabric: DialledFabric, slaves: Slaves) -> None:
    puppet = slaves.start(2)
    pid = puppet.expect(m.HELLO)[3]
    (relay,) = fabric.launcher._started.values()  # type: ignore[attr-defined]
    secret = fabric.launcher._reception._key._secret.hex()  # type: ignore[attr-defined]
    for process in (pid, relay.process.pid):
        assert secret not in command_line_of(process)
        assert secret not in "".join(environment_of(process).values())


def test_slaves_hold_no_descriptors_of_their_relay(slaves: Slaves) -> None:
    puppet = slaves.start(2)
    puppet.set_up(jobs.obey)
    targets = puppet.do(["describe"])[0][0]["descriptors"]
    assert sum(target.startswith("socket:") for target in targets.values()) == 2
    assert all(descriptor < 3 for descriptor, target in targets.items() if target.startswith("pipe:"))


def test_a_command_that_cannot_be_started_is_told() -> None:
    fabric = DialledFabric(["/no/such/command"])
    try:
        begin(fabric)
        (ended,) = wait_for_news(fabric)
        assert "could not be started: [Errno 2] No such file or directory" in ended.how
        assert ended.is_innocent
    finally:
        fabric.close()


def test_what_a_command_that_never_dials_has_printed_is_told_with_its_end() -> None:
    fabric = DialledFabric(["sh", "-c", "echo no such module; exit 4"])
    try:
        begin(fabric)
        (ended,) = wait_for_news(fabric)
        assert ended.how == "the command that started it ended with exit status 4"
        assert ended.printed == b"no such module\n"
    finally:
        fabric.close()


def test_a_pool_works_with_slaves_that_dial() -> None:
    with SlavePool(2, fabric=DialledFabric()) as pool:
        assert list(pool.map(jobs.square, range(50))) == [n * n for n in range(50)]


def test_the_command_looks_for_nothing_in_the_directory_that_it_is_in() -> None:
    assert "-P" in relay_argv()
