"""SlavePool with real slaves: as an Executor, under masters, when slaves are killed or stopped."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pool import jobs
from tests.pool.helpers import WAIT_S, Gates, wait_for_end, wait_for_slaves
from tracking import (
    EncodeError,
    InputError,
    ItemKilledSlave,
    ItemRaised,
    ItemResultError,
    SlavePool,
    TrackingJobMaster,
)
from tracking.pool.futures import Call
from tracking.testing import ScriptedFabric


@pytest.fixture
def pool() -> Iterator[SlavePool]:
    with SlavePool(2) as pool:
        yield pool


@pytest.fixture
def gates(tmp_path: Path) -> Gates:
    return Gates(tmp_path)


# ---- an Executor


def test_it_is_an_executor(pool: SlavePool) -> None:
    assert isinstance(pool, concurrent.futures.Executor)
    future = pool.submit(jobs.add, 1, b=2)
    assert isinstance(future, concurrent.futures.Future)
    assert future.result(WAIT_S) == 3


def test_calls_are_made_in_other_processes_one_per_slave(pool: SlavePool, gates: Gates) -> None:
    futures = [pool.submit(jobs.wait_at, gates.new()) for _ in range(2)]
    gates.open_all()
    pids = {future.result(WAIT_S) for future in futures}
    assert pids == set(pool.pids.values())
    assert os.getpid() not in pids


@pytest.mark.parametrize("chunksize", [1, 7, 100])
def test_map_keeps_the_order(pool: SlavePool, chunksize: int) -> None:
    results = pool.map(jobs.add, range(50), range(0, 500, 10), chunksize=chunksize)
    assert list(results) == [11 * n for n in range(50)]


def test_map_of_nothing_is_nothing(pool: SlavePool) -> None:
    assert list(pool.map(jobs.add, [])) == []
    assert list(pool.map(jobs.add, [], chunksize=5)) == []


def test_map_raises_where_the_call_did(pool: SlavePool) -> None:
    results = pool.map(divmod, [4, 1, 2], [2, 0, 1])
    assert next(results) == (2, 0)
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.mark.parametrize("chunksize", [0, -1, 1.5, "2"])
def test_a_wrong_chunksize_is_refused(pool: SlavePool, chunksize: Any) -> None:
    with pytest.raises(InputError, match="chunksize"):
        pool.map(jobs.add, [1], chunksize=chunksize)


def test_lambdas_and_closures_travel(pool: SlavePool) -> None:
    factor = 3
    assert list(pool.map(lambda n: factor * n, range(5), chunksize=2)) == [0, 3, 6, 9, 12]


def test_large_arguments_and_results_travel(pool: SlavePool) -> None:
    data = os.urandom(8_000_000)
    futures = [pool.submit(bytes, data) for _ in range(4)]
    assert all(future.result(WAIT_S) == data for future in futures)


# ---- errors


def test_what_a_call_raises_comes_with_the_traceback_from_there(pool: SlavePool) -> None:
    with pytest.raises(KeyError, match="lost") as caught:
        pool.submit(jobs.raise_key_error, "lost").result(WAIT_S)
    cause = caught.value.__cause__
    assert isinstance(cause, ItemRaised)
    assert "jobs.py" in cause.remote_traceback
    assert cause.nickname in {"localhost_0", "localhost_1"}


def test_a_call_that_exits_costs_no_slave(pool: SlavePool) -> None:
    with pytest.raises(SystemExit):
        pool.submit(jobs.leave, 3).result(WAIT_S)
    assert len({future.result(WAIT_S) for future in [pool.submit(jobs.pid)]}) == 1


def test_an_argument_that_cannot_be_sent_fails_its_call_alone(pool: SlavePool) -> None:
    bad, good = pool.submit(jobs.size_of, (n for n in ())), pool.submit(jobs.size_of, "abc")
    with pytest.raises(EncodeError, match="generator"):
        bad.result(WAIT_S)
    assert good.result(WAIT_S) == 3


def test_a_result_that_cannot_be_sent_is_an_error_that_says_so(pool: SlavePool) -> None:
    with pytest.raises(ItemResultError, match="lock"):
        pool.submit(jobs.unsendable).result(WAIT_S)


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, KeyboardInterrupt])
def test_a_result_that_cannot_be_read_is_an_error_that_says_so(pool: SlavePool, error: type[BaseException]) -> None:
    with pytest.raises(ItemResultError, match="made nowhere"):
        pool.submit(jobs.unreadable, error).result(WAIT_S)
    assert not TrackingJobMaster(
        {1: error}, function=jobs.unreadable, pool=pool, verbose=0, on_error="collect"
    ).calculateResult()


# ---- wrong use


@pytest.mark.parametrize("hosts", [0, -1, True, 1.5, [1], [""], [" "], ["no-such-host.invalid"]])
def test_wrong_hosts_are_refused_before_anything_starts(hosts: Any) -> None:
    with pytest.raises(InputError):
        SlavePool(hosts)


@pytest.mark.parametrize(
    "options",
    [{"niceness": "low"}, {"niceness": {"default": 1.5}}, {"max_deaths": 0}, {"host_failures": 0}, {"fabric": "x"}],
)
def test_wrong_options_are_refused_before_anything_starts(options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        SlavePool(1, **options)


def test_hosts_and_niceness_are_kept() -> None:
    here = os.getpriority(os.PRIO_PROCESS, 0)
    with SlavePool(["localhost", "localhost"], {"localhost": here + 3}) as pool:
        assert pool.submit(jobs.niceness).result(WAIT_S) == here + 3
        assert sorted(slave["nickname"] for slave in pool.slaves.values()) == ["localhost_0", "localhost_1"]
        assert {slave["host"] for slave in pool.slaves.values()} == {"localhost"}


# ---- slaves that die


def test_a_killed_slave_s_call_is_made_again(pool: SlavePool, gates: Gates, tmp_path: Path) -> None:
    gate = gates.new()
    future = pool.submit(jobs.wait_first, str(tmp_path / "mark"), gate)
    with open(gate, "wb"):  # it is there
        before = dict(pool.pids)
        victim = pool.submit(jobs.pid).result(WAIT_S)
        (busy,) = set(before.values()) - {victim}
        os.kill(busy, signal.SIGKILL)
        wait_for_end(busy)
    assert future.result(WAIT_S) != busy


def test_a_call_that_kills_its_slave_once_is_done_by_another(pool: SlavePool, tmp_path: Path) -> None:
    assert pool.submit(jobs.die_first, str(tmp_path / "mark")).result(WAIT_S) == "done by another"


def test_a_pool_shows_how_many_slaves_it_has() -> None:
    with SlavePool("localhost*2") as two:
        assert repr(two) == "SlavePool: 2 slaves"
    assert repr(two) == "SlavePool: 0 slaves, shut down"


def test_a_call_that_always_kills_its_slave_is_given_up_and_named(pool: SlavePool) -> None:
    with pytest.raises(ItemKilledSlave, match="SIGKILL"):
        pool.submit(jobs.die).result(WAIT_S)
    assert sorted(pool.map(jobs.add, range(10))) == list(range(10))


def test_an_idle_slave_that_is_killed_is_replaced(pool: SlavePool, gates: Gates) -> None:
    first = pool.submit(jobs.pid).result(WAIT_S)
    os.kill(first, signal.SIGKILL)
    wait_for_end(first)
    futures = [pool.submit(jobs.wait_at, gates.new()) for _ in range(2)]  # two slaves are needed
    gates.open_all()
    pids = {future.result(WAIT_S) for future in futures}
    assert len(pids) == 2
    assert first not in pids


def test_a_killed_starter_takes_its_slaves_along_and_all_are_replaced(gates: Gates, tmp_path: Path) -> None:
    with SlavePool(12) as pool:
        starter = os.getsid(pool.submit(jobs.pid).result(WAIT_S))
        gate = gates.new()
        future = pool.submit(jobs.wait_first, str(tmp_path / "mark"), gate)
        with open(gate, "wb"):
            before = set(pool.pids.values())
            os.kill(starter, signal.SIGKILL)
            wait_for_end(*before)
        assert future.result(WAIT_S) not in before
        assert list(pool.map(jobs.add, range(100))) == list(range(100))
        while len(pool.slaves) < 12:  # the others are on their way
            assert pool.submit(jobs.add, 1).result(WAIT_S) == 1


def test_a_stopped_slave_with_a_full_line_keeps_nobody_else_waiting(pool: SlavePool) -> None:
    stopped = pool.submit(jobs.pid).result(WAIT_S)
    os.kill(stopped, signal.SIGSTOP)
    try:
        data = bytes(32_000_000)
        futures = [pool.submit(jobs.size_of, data) for _ in range(2)]
        done, waiting = concurrent.futures.wait(futures, WAIT_S, concurrent.futures.FIRST_COMPLETED)
        assert [pool.submit(jobs.add, n).result(WAIT_S) for n in range(100)] == list(range(100))
        assert (len(done), len(waiting)) == (1, 1)
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert [future.result(WAIT_S) for future in futures] == [len(data)] * 2


# ---- masters


def test_masters_one_after_the_other_have_the_same_slaves(pool: SlavePool) -> None:
    data = {n: n for n in range(20)}
    pids = []
    for _ in range(3):
        master = TrackingJobMaster(data, function=lambda n: (n, os.getpid()), chunk_size=2, pool=pool, verbose=0)
        result = master.calculateResult()
        assert {id: n for id, (n, _) in result.items()} == data
        pids.append({pid for _, pid in result.values()})
    slaves = set(wait_for_slaves(pool, 2))
    assert all(seen <= slaves for seen in pids)


def test_two_masters_and_calls_use_the_slaves_at_once(pool: SlavePool) -> None:
    masters = [
        TrackingJobMaster({n: n for n in range(200)}, function=abs, chunk_size=5, pool=pool, verbose=0)
        for _ in range(2)
    ]
    for master in masters:
        master.start()
    assert list(pool.map(jobs.add, range(200))) == list(range(200))
    for master in masters:
        assert master.calculateResult() == {n: n for n in range(200)}


def test_a_master_that_is_ended_leaves_the_pool_usable(pool: SlavePool, gates: Gates) -> None:
    gate = gates.new()
    master = TrackingJobMaster({1: gate}, function=jobs.wait_at, pool=pool, verbose=0)
    master.start()
    with open(gate, "wb"):
        before = set(pool.pids.values())
        master.exit()
    assert list(pool.map(jobs.add, range(10))) == list(range(10))
    wait_for_end(*(before - set(pool.pids.values())))


# ---- many


def test_a_thousand_rounds_go_through(pool: SlavePool) -> None:
    assert [pool.submit(jobs.add, n).result(WAIT_S) for n in range(1000)] == list(range(1000))


def test_many_threads_submit(pool: SlavePool) -> None:
    results: list[list[int]] = []

    def work(first: int) -> None:
        results.append([pool.submit(jobs.add, n).result(WAIT_S) for n in range(first, first + 50)])

    threads = [threading.Thread(target=work, args=(1000 * k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [list(range(1000 * k, 1000 * k + 50)) for k in range(6)]


def test_128_slaves_work_and_end(gates: Gates) -> None:
    with SlavePool(128) as pool:
        futures = [pool.submit(jobs.wait_at, gates.new()) for _ in range(128)]
        gates.open_all()
        pids = {future.result(WAIT_S) for future in futures}
    assert len(pids) == 128
    wait_for_end(*pids)


def test_nothing_is_left_when_a_pool_that_did_nothing_ends() -> None:
    SlavePool(2).shutdown()
    with SlavePool(2):
        pass


# ---- other processes, other directories


def in_child(action: Callable[[], object]) -> str:
    """What a forked child of this process says of the error that it gets; it must not hang."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        try:
            action()
            text = "no error"
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        os.write(write_end, text.encode())
        os._exit(0)
    os.close(write_end)
    with open(read_end) as file:
        text = file.read()
    os.waitpid(pid, 0)
    return text


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_is_told_that_the_pool_is_not_its_own() -> None:
    with SlavePool(1, fabric=ScriptedFabric()) as pool:
        assert pool.submit(jobs.add, 1).result(WAIT_S) == 1
        actions: list[Callable[[], object]] = [
            lambda: pool.submit(jobs.add, 1),
            lambda: list(pool.map(jobs.add, [1, 2])),
            pool.shutdown,
            Call(pool._crew).result,
            lambda: pool.pids,
            lambda: pool.slaves,
            lambda: TrackingJobMaster({1: 1}, function=jobs.add, pool=pool, verbose=0).calculateResult(),
        ]
        pool._crew.lock.acquire()  # as another thread may, at the moment of the fork
        try:
            for action in actions:
                text = in_child(action)
                assert text.startswith("InputError: this pool was made in another process"), text
                assert str(os.getpid()) in text
                assert "after the fork" in text
            assert in_child(lambda: repr(pool)) == "no error"
            assert in_child(lambda: pool.__exit__(None, None, None)) == "no error"
        finally:
            pool._crew.lock.release()
        assert pool.submit(jobs.add, 1).result(WAIT_S) == 1


def test_a_working_directory_that_was_deleted_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with SlavePool(1, fabric=ScriptedFabric()) as pool:
        with pytest.raises(InputError, match=r"working directory .*gone.* was deleted"):
            pool.submit(jobs.add, 1)
        monkeypatch.chdir(tmp_path)
        assert pool.submit(jobs.add, 1).result(WAIT_S) == 1


def test_a_pool_that_cannot_begin_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise FileNotFoundError("no working directory")

    monkeypatch.setattr("tracking.pool.placing.Placing.places", fail)
    with pytest.raises(FileNotFoundError):
        SlavePool(["localhost"])
