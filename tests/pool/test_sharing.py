"""Large objects that slaves share: sent once to each host, in memory there once."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.far import FarFabric
from tests.master.helpers import wait_until
from tests.pool import jobs
from tests.pool.helpers import WAIT_S, wait_for_slaves
from tracking import EncodeError, ItemRaised, JobSlave, SlavePool, TrackingJobMaster
from tracking.errors import ProtocolError
from tracking.pool.executor import CrewExecutor
from tracking.wire import mapped

MB = 1 << 20
LARGE = np.arange(MB // 4, dtype=np.float64)
SMALL = np.arange(10.0)


@pytest.fixture
def pool() -> Iterator[SlavePool]:
    with SlavePool(2) as pool:
        yield pool


def memory_here() -> list[str]:
    """The shared memory that this process has open."""
    links = []
    for number in os.listdir("/proc/self/fd"):
        path = f"/proc/self/fd/{number}"
        with suppress(FileNotFoundError):  # closed by another thread meanwhile
            if os.readlink(path).startswith("/memfd:tracking"):
                links.append(path)
    return links


def wait_until_memory_is_given_back() -> None:
    """By what is called after the last result, in whatever thread: who waits for that result may be told first."""
    wait_until(lambda: not memory_here(), "the end of shared memory")


def pss(pids: list[int]) -> int:
    """Bytes of memory of these processes, what they share counted once."""
    total = 0
    for pid in pids:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


# ---- pool.share


@pytest.mark.parametrize(("array", "is_writable"), [(LARGE, False), (SMALL, True)])
def test_a_shared_array_is_one_object_for_all_calls_on_a_slave_and_read_only_if_it_is_large(
    pool: SlavePool, array: Any, is_writable: bool
) -> None:
    with pool.share(array) as shared:
        futures = [pool.submit(jobs.look_up, shared, index) for index in range(8)]
        results = [future.result(WAIT_S) for future in futures]
    assert [result[0] for result in results] == list(range(8))
    assert {result[1] for result in results} == {is_writable}
    assert len({(address, pid) for _, _, address, pid in results}) == len({pid for _, _, _, pid in results})


def test_it_can_be_shared_before_a_slave_is_there_and_by_a_session_with_a_setup(pool: SlavePool) -> None:
    with pool.share(LARGE) as shared, pool.session(partial(jobs.same, shared)) as session:
        assert session.submit(jobs.look_up_two, shared, 3).result(WAIT_S) == (True, 3.0)
    with pool.session() as session, session.share(LARGE) as shared:
        assert session.submit(jobs.look_up, shared, 3).result(WAIT_S)[0] == 3.0


def test_it_may_stand_in_a_masters_function_its_data_and_its_parameters(pool: SlavePool) -> None:
    class Slave(JobSlave):
        def initialize(self, params: Any) -> None:
            self.array = params

        def go(self, jobs: dict[Any, Any]) -> dict[Any, Any]:
            return {id: self.array is value for id, value in jobs.items()}

    with pool.share(LARGE) as shared:
        master = TrackingJobMaster({1: 5}, function=partial(jobs.look_up, shared), pool=pool, verbose=0)
        assert master.calculateResult()[1][0] == 5.0
        other = TrackingJobMaster({1: shared}, slave_script=Slave, pool=pool, verbose=0)
        other.getInitParameters = lambda tid: shared  # type: ignore[method-assign,assignment]
        assert other.calculateResult() == {1: True}


def test_a_slave_that_takes_the_place_of_another_has_it_too(pool: SlavePool) -> None:
    with pool.share(LARGE) as shared:
        for pid in wait_for_slaves(pool, 2):
            os.kill(pid, signal.SIGKILL)
        assert pool.submit(jobs.look_up, shared, 7).result(WAIT_S)[0] == 7.0


def test_what_was_closed_fails_a_call_that_says_so(pool: SlavePool) -> None:
    shared = pool.share(LARGE)
    shared.close()
    shared.close()
    assert "closed" in repr(shared)
    with pytest.raises(ProtocolError, match="it was closed, or belongs to another pool") as caught:
        pool.submit(jobs.look_up, shared, 1).result(WAIT_S)
    assert isinstance(caught.value.__cause__, ItemRaised)


def test_what_cannot_be_sent_is_refused_at_once(pool: SlavePool) -> None:
    with pytest.raises(EncodeError, match="the shared object"):
        pool.share(iter_forever())
    pool.shutdown()
    with pytest.raises(RuntimeError, match="cannot share an object"):
        pool.share(LARGE)


def iter_forever() -> Iterator[int]:
    while True:
        yield 1


def test_memory_is_given_back_when_it_is_closed_and_at_the_latest_with_the_pool(pool: SlavePool) -> None:
    with pool.share(LARGE) as shared:
        pool.submit(jobs.look_up, shared, 1).result(WAIT_S)
        assert len(memory_here()) == 1
    assert not memory_here()
    pool.share(LARGE)
    gc.collect()
    assert len(memory_here()) == 1
    pool.shutdown()
    assert not memory_here()


def test_slaves_let_go_of_what_was_closed(pool: SlavePool) -> None:
    with pool.share(LARGE) as shared:
        futures = [pool.submit(jobs.look_up, shared, index) for index in range(20)]
        pids = {future.result(WAIT_S)[3] for future in futures}
    for pid in pids:  # they are told to forget it, and do it in their own time
        wait_until(lambda pid=pid: "memfd:tracking" not in Path(f"/proc/{pid}/maps").read_text())  # type: ignore[misc]


def test_all_slaves_of_a_host_hold_one_copy_together() -> None:
    size, slaves = 64 * MB, 8
    large = np.ones(size // 8)
    with SlavePool(slaves) as pool:
        pids = wait_for_slaves(pool, slaves)
        read_everywhere(pool, slaves, SMALL)  # loads numpy
        before = pss(pids)
        with pool.share(large) as shared:
            read_everywhere(pool, slaves, shared)
            assert pss(pids) - before < 1.5 * size


def read_everywhere(pool: SlavePool, slaves: int, array: Any) -> None:
    """Have each slave read all of it."""
    seen: set[int] = set()
    while len(seen) < slaves:
        futures = [pool.submit(jobs.sum_of, array) for _ in range(4 * slaves)]
        seen |= {future.result(WAIT_S)[1] for future in futures}


def test_where_there_is_no_such_memory_each_slave_is_sent_it_once(
    pool: SlavePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped, "share", lambda payload: None)
    with pool.share(LARGE) as shared:
        results = [pool.submit(jobs.look_up, shared, 5).result(WAIT_S) for _ in range(4)]
    assert {(value, is_writable) for value, is_writable, _, _ in results} == {(5.0, False)}


def test_slaves_that_can_map_nothing_are_sent_it_once(tmp_path: Path) -> None:
    with SlavePool(["localhost"], fabric=FarFabric(tmp_path)) as pool, pool.share(LARGE) as shared:
        results = [pool.submit(jobs.look_up, shared, 5).result(WAIT_S) for _ in range(2)]
        assert len({address for _, _, address, _ in results}) == 1
        assert results[0][:2] == (5.0, False)


# ---- map


@pytest.mark.parametrize("chunksize", [1, 3])
def test_a_function_with_a_large_array_is_shared_by_the_calls_of_a_map(pool: SlavePool, chunksize: int) -> None:
    results = list(pool.map(partial(jobs.look_up, LARGE), range(10), chunksize=chunksize))
    assert [result[0] for result in results] == list(range(10))
    assert not any(result[1] for result in results)
    wait_until_memory_is_given_back()


def test_a_map_whose_results_nobody_takes_gives_its_memory_back(pool: SlavePool) -> None:
    futures = []
    submit = pool.submit

    def noting(*args: Any) -> Any:
        futures.append(submit(*args))
        return futures[-1]

    pool.submit = noting  # type: ignore[method-assign,assignment]
    results = pool.map(partial(jobs.look_up, LARGE), range(4))
    assert [future.result(WAIT_S)[0] for future in futures] == [0.0, 1.0, 2.0, 3.0]
    wait_until_memory_is_given_back()
    del results


def test_a_small_function_is_sent_with_each_call(pool: SlavePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CrewExecutor, "_shared", lambda *_: pytest.fail("it is small"))
    assert list(pool.map(partial(jobs.add, 1), range(3))) == [1, 2, 3]


def test_a_map_that_is_refused_gives_its_memory_back(pool: SlavePool) -> None:
    pool.shutdown()
    with pytest.raises(RuntimeError, match="shut down"):
        pool.map(partial(jobs.look_up, LARGE), range(4))
    assert not memory_here()


# ---- parameters, setups


def test_equal_parameters_of_all_slaves_lie_in_memory_once_and_others_are_told_apart() -> None:
    class Slave(JobSlave):
        def initialize(self, params: Any) -> None:
            self.array = params

        def go(self, jobs: dict[Any, Any]) -> dict[Any, Any]:
            return {id: (float(self.array[0]), float(self.array[1]), self.array.flags.writeable) for id in jobs}

    shared = []
    share = mapped.share

    def noting(payload: Any) -> Any:
        shared.append(share(payload))
        return shared[-1]

    for change, copies in ((0.0, 1), (1.0, 2)):
        array = LARGE.copy()

        def parameters(tid: int, array: Any = array, change: float = change) -> Any:
            array[0] += change
            return array

        shared.clear()
        with SlavePool(2) as pool, pytest.MonkeyPatch.context() as patch:
            wait_for_slaves(pool, 2)
            patch.setattr(mapped, "share", noting)
            master = TrackingJobMaster(dict.fromkeys(range(8)), slave_script=Slave, pool=pool, verbose=0)
            master.getInitParameters = parameters  # type: ignore[method-assign,assignment]
            results = set(master.calculateResult().values())
        assert len(shared) == copies
        assert results <= {(change, 1.0, False), (2 * change, 1.0, False)}


def test_the_setup_of_a_session_that_brings_a_large_array_is_shared(pool: SlavePool) -> None:
    with pool.session(partial(jobs.same, LARGE)) as session:
        assert session.submit(jobs.look_up, 6).result(WAIT_S)[:2] == (6.0, False)
        assert len(memory_here()) == 1
    assert not memory_here()


def test_what_makes_actors_and_brings_a_large_array_is_shared(pool: SlavePool) -> None:
    wait_for_slaves(pool, 2)
    with pool.actors(partial(jobs.same, LARGE)) as actors:
        calls = [actor.call(jobs.look_up, 6) for actor in actors.up()]
        assert [call.result(WAIT_S)[:2] for call in calls] == [(6.0, False)] * 2
        assert len(memory_here()) == 1
    assert not memory_here()
