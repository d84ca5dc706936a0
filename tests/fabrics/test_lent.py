"""Large payloads on hosts with relays: over each line once, in memory there once."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engines import engine
from tests.fabrics.relays import LauncherHere
from tests.fabrics.sshd import sshd
from tests.pool import jobs
from tests.pool.helpers import WAIT_S, wait_for_slaves
from tracking import JobSlave, SlavePool, TrackingJobMaster
from tracking.fabrics.launcher import RelayNews, RelayUp
from tracking.fabrics.lent import Lent
from tracking.fabrics.mpi import MpiFabric
from tracking.fabrics.queues.slurm.fabric import SlurmFabric
from tracking.fabrics.relayed import RelayedFabric
from tracking.fabrics.ssh.fabric import SshFabric
from tracking.slave.relay import streams_of
from tracking.wire import codec, mapped
from tracking.wire.carriers import Carrier, Piece, SocketCarrier
from tracking.wire.mapped import SharedPayload
from tracking.wire.pump import Pump

MB = 1 << 20
SLAVES = 8
LARGE = np.arange(2 * MB, dtype=np.float64)


class Counted:
    """A carrier that counts what is written."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self.written = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._carrier, name)

    def write(self, pieces: Sequence[Piece]) -> int:
        count = self._carrier.write(pieces)
        self.written += count
        return count


class CountingLauncher(LauncherHere):
    """Counts what goes over the lines to its relays."""

    def __init__(self, *, is_by_host: bool = True) -> None:
        super().__init__(is_by_host=is_by_host)
        self.carriers: list[Counted] = []

    @property
    def written(self) -> int:
        return sum(carrier.written for carrier in self.carriers)

    def poll(self) -> list[RelayNews]:
        return [self._counted(one) if isinstance(one, RelayUp) else one for one in super().poll()]

    def _counted(self, up: RelayUp) -> RelayUp:
        carrier: Any = Counted(up.carrier)
        self.carriers.append(carrier)
        return RelayUp(up.number, carrier)


@pytest.fixture
def launcher() -> CountingLauncher:
    return CountingLauncher()


@pytest.fixture
def pool(launcher: CountingLauncher) -> Iterator[SlavePool]:
    with closing(RelayedFabric(launcher)) as fabric, SlavePool(["there"] * SLAVES, fabric=fabric) as pool:
        wait_for_slaves(pool, SLAVES)
        yield pool


def target_of(link: Path) -> str:
    """What a process has open; "": it has closed it meanwhile."""
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return ""


def memory_of(launcher: LauncherHere) -> int:
    """How many pieces of shared memory the relays keep."""
    count = 0
    for process in launcher.processes.values():
        if process.poll() is None:
            directory = Path(f"/proc/{process.pid}/fd")
            count += sum(target_of(link).startswith("/memfd:tracking") for link in directory.iterdir())
    return count


def pss(pids: Sequence[int]) -> int:
    """Bytes of memory of these processes, what they share counted once."""
    total = 0
    for pid in pids:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def read_everywhere(pool: SlavePool, array: Any, slaves: int = SLAVES) -> None:
    """Have each slave read all of it."""
    seen: set[int] = set()
    while len(seen) < slaves:
        futures = [pool.submit(jobs.sum_of, array) for _ in range(4 * slaves)]
        results = [future.result(WAIT_S) for future in futures]
        assert len({total for total, _ in results}) == 1
        seen |= {pid for _, pid in results}


def test_a_large_function_goes_over_the_line_once_for_all_slaves_there(
    pool: SlavePool, launcher: CountingLauncher
) -> None:
    data = dict.fromkeys(range(4 * SLAVES), 5)
    master = TrackingJobMaster(data, function=partial(jobs.look_up, LARGE), pool=pool, verbose=0, chunk_size=1)
    results = master.calculateResult().values()
    assert {result[:2] for result in results} == {(5.0, False)}
    assert LARGE.nbytes < launcher.written < 1.2 * LARGE.nbytes
    assert pool.submit(jobs.pid).result(WAIT_S)
    assert memory_of(launcher) == 0


def test_equal_parameters_go_over_the_line_once(pool: SlavePool, launcher: CountingLauncher) -> None:
    class Slave(JobSlave):
        def initialize(self, params: Any) -> None:
            self.array = params

        def go(self, jobs: dict[Any, Any]) -> dict[Any, Any]:
            return {id: (float(self.array[id]), self.array.flags.writeable) for id in jobs}

    master = TrackingJobMaster(dict.fromkeys(range(20)), slave_script=Slave, pool=pool, verbose=0)
    master.getInitParameters = lambda tid: LARGE  # type: ignore[method-assign,assignment]
    assert master.calculateResult() == {id: (float(id), False) for id in range(20)}
    assert LARGE.nbytes < launcher.written < 1.2 * LARGE.nbytes


def test_what_a_pool_shares_goes_over_the_line_once_and_lies_there_once(
    pool: SlavePool, launcher: CountingLauncher
) -> None:
    pids = list(pool.pids.values())
    read_everywhere(pool, np.ones(10))  # loads numpy
    before = pss(pids)
    with pool.share(LARGE) as shared:
        read_everywhere(pool, shared)
        assert pss(pids) - before < 1.5 * LARGE.nbytes
        assert memory_of(launcher) == 1
    assert LARGE.nbytes < launcher.written < 1.2 * LARGE.nbytes


def test_a_slave_that_takes_the_place_of_another_maps_what_is_there(
    pool: SlavePool, launcher: CountingLauncher
) -> None:
    with pool.share(LARGE) as shared:
        assert pool.submit(jobs.look_up, shared, 3).result(WAIT_S)[0] == 3.0
        for pid in list(pool.pids.values()):
            os.kill(pid, signal.SIGKILL)
        assert pool.submit(jobs.look_up, shared, 4).result(WAIT_S)[0] == 4.0
    assert launcher.written < 1.2 * LARGE.nbytes


def test_a_relay_that_is_killed_takes_it_along_and_the_next_one_gets_it_anew(
    pool: SlavePool, launcher: CountingLauncher
) -> None:
    with pool.share(LARGE) as shared:
        assert pool.submit(jobs.look_up, shared, 3).result(WAIT_S)[0] == 3.0
        for process in launcher.processes.values():
            process.kill()
        assert pool.submit(jobs.look_up, shared, 4).result(WAIT_S)[0] == 4.0
        assert memory_of(launcher) == 1
    assert 2 * LARGE.nbytes < launcher.written < 2.4 * LARGE.nbytes


def test_what_is_taken_back_while_it_is_on_its_way_holds_nobody_up(pool: SlavePool, launcher: CountingLauncher) -> None:
    for _ in range(3):
        pool.share(LARGE).close()
    assert pool.submit(jobs.add, 1, 2).result(WAIT_S) == 3
    with pool.share(LARGE) as shared:
        assert pool.submit(jobs.look_up, shared, 3).result(WAIT_S)[0] == 3.0
        assert memory_of(launcher) == 1


def test_slaves_that_have_a_relay_each_get_it_once_if_they_are_on_one_host() -> None:
    launcher = CountingLauncher(is_by_host=False)
    with closing(RelayedFabric(launcher)) as fabric, SlavePool(["here"] * 4, fabric=fabric) as pool:
        pids = wait_for_slaves(pool, 4)
        read_everywhere(pool, np.ones(10), 4)
        before = pss(pids)
        with pool.share(LARGE) as shared:
            read_everywhere(pool, shared, 4)
            assert pss(pids) - before < 1.5 * LARGE.nbytes
            assert memory_of(launcher) == 4
        assert pool.submit(jobs.pid).result(WAIT_S)
    assert LARGE.nbytes < launcher.written < 1.3 * LARGE.nbytes


@pytest.mark.engine
def test_all_slaves_of_a_host_reached_by_ssh_map_one_copy(tmp_path: Path) -> None:
    with (
        sshd(tmp_path) as config,
        closing(SshFabric(config, python=sys.executable)) as fabric,
        SlavePool([f"node*{SLAVES}"], fabric=fabric, check_hosts=False) as pool,
    ):
        pids = wait_for_slaves(pool, SLAVES)
        read_everywhere(pool, np.ones(10))
        before = pss(pids)
        with pool.share(np.ones(4 * MB)) as shared:
            read_everywhere(pool, shared)
            assert pss(pids) - before < 1.5 * 32 * MB
        master = TrackingJobMaster({1: 5}, function=partial(jobs.look_up, LARGE), pool=pool, verbose=0)
        assert master.calculateResult()[1][:2] == (5.0, False)


def test_a_pool_ends_while_what_it_shares_is_on_its_way(
    pool: SlavePool, launcher: CountingLauncher
) -> None:
    pool.share(np.ones(16 * MB))
    pool.shutdown()
    assert launcher.written < 16 * MB * 8
    assert memory_of(launcher) == 0


def kept_by_parents(pids: Sequence[int]) -> set[int]:
    """The shared memory that the relays of these slaves keep, by the number of its file."""
    found: set[int] = set()
    for pid in pids:
        parent = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        for link in Path(f"/proc/{parent}/fd").iterdir():
            if target_of(link).startswith("/memfd:tracking"):
                found.add(link.stat().st_ino)
    return found


@pytest.mark.engine
def test_ranks_of_mpi_on_one_host_map_one_copy(environment: Any, tmp_path: Path) -> None:
    mpiexec = environment(engine("mpi", sys.executable))["TRACKING_MPIEXEC"]
    with (
        closing(MpiFabric(3, mpiexec=mpiexec, files=tmp_path)) as fabric,
        SlavePool(3, fabric=fabric) as pool,
    ):
        pids = wait_for_slaves(pool, 3)
        with pool.share(LARGE) as shared:
            read_everywhere(pool, shared, 3)
            assert len(kept_by_parents(pids)) == 1


@pytest.mark.engine
def test_what_is_shared_gets_to_jobs_of_slurm_on_several_nodes(environment: Any, tmp_path: Path) -> None:
    environment(engine("slurm", "-m", "netns"))
    with closing(SlurmFabric(files=tmp_path)) as fabric, SlavePool(6, fabric=fabric) as pool:
        wait_for_slaves(pool, 6, 60.0)
        with pool.share(LARGE) as shared:  # which of them is who is not known: each node counts its processes itself
            futures = [pool.submit(jobs.look_up, shared, index) for index in range(60)]
            results = [future.result(WAIT_S) for future in futures]
    assert [result[:2] for result in results] == [(float(index), False) for index in range(60)]


# ---- by hand


class Line:
    """The near end of a line with slaves 2 and 3, and the far one."""

    def __init__(self) -> None:
        near, far = socket.socketpair()
        self.pump = Pump(SocketCarrier(near, "near"), print, time.monotonic)
        self.lent = Lent(self.pump)
        self.said: list[dict[str, Any]] = []
        self._far = Pump(SocketCarrier(far, "far"), self.said.append, time.monotonic)
        self._writing: dict[int, int] = {}
        self._arrived: dict[int, Any] = {}
        for tid in (2, 3):
            stream = streams_of(tid)[0]
            reading, self._writing[tid] = os.pipe()
            os.set_blocking(reading, False)
            self.pump.attach(stream, reading, is_read=True)
            self._arrived[tid] = tempfile.TemporaryFile()  # noqa: SIM115  (closed in close)
            self._far.attach(stream, os.dup(self._arrived[tid].fileno()), is_read=False)

    def send(self, tid: int) -> bool:
        """Send the slave something; whether it came."""
        before = os.fstat(self._arrived[tid].fileno()).st_size
        os.write(self._writing[tid], b"x")
        for _ in range(50):  # as often as there may be pieces of a parcel before it
            self.turn()
        return os.fstat(self._arrived[tid].fileno()).st_size > before

    def turn(self) -> None:
        self.pump.turn()
        self._far.turn()

    def close(self) -> None:
        self.pump.close()
        self._far.close()
        for tid, writing in self._writing.items():
            os.close(writing)
            self._arrived[tid].close()


@pytest.fixture
def line() -> Iterator[Line]:
    with closing(Line()) as line:
        yield line


@pytest.fixture
def shared() -> Iterator[SharedPayload]:
    with shared_array() as shared:
        yield shared


def shared_array() -> SharedPayload:
    shared = mapped.share(codec.encode(LARGE, "array"))
    assert shared is not None
    return shared


def test_what_a_slave_is_sent_waits_until_the_relay_has_what_it_needs(line: Line, shared: SharedPayload) -> None:
    assert line.lent.lend(2, shared)
    assert not line.send(2)
    assert line.send(3)
    line.lent.heard({"is": "kept", "parcel": 1, "well": True})
    assert line.send(2)
    assert line.lent.lend(3, shared)
    assert line.send(3)
    assert [one["do"] for one in line.said] == ["keep"]


def test_a_slave_that_needs_two_waits_for_both(line: Line, shared: SharedPayload) -> None:
    with shared_array() as other:
        line.lent.lend(2, shared)
        line.lent.lend(2, other)
        line.lent.heard({"is": "kept", "parcel": 1, "well": True})
        assert not line.send(2)
        line.lent.take_back(other)
        assert line.send(2)


def test_what_the_relay_has_no_room_for_is_not_lent_again(line: Line, shared: SharedPayload) -> None:
    assert line.lent.lend(2, shared)
    line.lent.heard({"is": "kept", "parcel": 1, "well": False})
    assert line.send(2)
    assert not line.lent.lend(3, shared)
    assert line.send(3)


def test_what_the_relay_says_of_what_was_taken_back_means_nothing(line: Line, shared: SharedPayload) -> None:
    line.lent.lend(2, shared)
    line.lent.take_back(shared)
    line.lent.heard({"is": "kept", "parcel": 1, "well": True})
    assert line.lent.lend(2, shared)
    assert not line.send(2)
    line.lent.heard({"is": "kept", "parcel": 2, "well": True})
    assert line.send(2)


def test_what_was_closed_cannot_be_lent(line: Line, shared: SharedPayload) -> None:
    shared.close()
    assert not line.lent.lend(2, shared)
    assert line.send(2)


@pytest.fixture
def beside() -> Iterator[Line]:
    """The line of another relay on the same host."""
    with closing(Line()) as line:
        line.lent.pid = 4711
        yield line


KEPT = {"is": "kept", "parcel": 1, "well": True}
NOT_KEPT = {"is": "kept", "parcel": 1, "well": False}


def orders(line: Line) -> list[str]:
    for _ in range(50):
        line.turn()
    return [str(one["do"]) for one in line.said if one["do"] != "seal"]


def test_what_a_relay_beside_has_is_borrowed(line: Line, beside: Line, shared: SharedPayload) -> None:
    beside.lent.lend(3, shared)
    beside.lent.heard(KEPT)
    assert line.lent.lend(2, shared, [beside.lent])
    assert orders(line) == ["borrow"]
    assert line.said[0]["pid"] == 4711
    assert not line.send(2)
    line.lent.heard(KEPT)
    assert line.send(2)


def test_what_a_relay_beside_is_just_sent_is_borrowed_when_it_is_there(
    line: Line, beside: Line, shared: SharedPayload
) -> None:
    beside.lent.lend(3, shared)
    assert line.lent.lend(2, shared, [beside.lent])
    assert orders(line) == []
    assert not line.send(2)
    beside.lent.heard(KEPT)
    assert orders(line) == ["borrow"]


def test_what_cannot_be_borrowed_after_all_is_sent(line: Line, beside: Line, shared: SharedPayload) -> None:
    beside.lent.lend(3, shared)
    beside.lent.heard(KEPT)
    line.lent.lend(2, shared, [beside.lent])
    line.lent.heard(NOT_KEPT)
    assert orders(line) == ["borrow", "keep"]
    assert not line.send(2)
    line.lent.heard(KEPT)
    assert line.send(2)


@pytest.mark.parametrize("is_lost", [True, False])
def test_where_the_relay_beside_is_lost_or_has_no_room_it_is_sent(
    line: Line, beside: Line, shared: SharedPayload, is_lost: bool
) -> None:
    beside.lent.lend(3, shared)
    line.lent.lend(2, shared, [beside.lent])
    beside.lent.is_lost() if is_lost else beside.lent.heard(NOT_KEPT)
    assert orders(line) == ["keep"]


def test_what_is_taken_back_from_all_is_sent_to_none(line: Line, beside: Line, shared: SharedPayload) -> None:
    beside.lent.lend(3, shared)
    line.lent.lend(2, shared, [beside.lent])
    beside.lent.take_back(shared)
    line.lent.take_back(shared)
    assert orders(line) == ["drop"]
    assert line.send(2)
