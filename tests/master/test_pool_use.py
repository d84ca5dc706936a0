"""Masters on a pool: at the same time and one after the other, nothing is started anew."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.master.helpers import master_of, squares, wait_until
from tests.master.work import Squares, WithParams, negative, pid, square, tell_and_wait, wait_for_file
from tests.pool.helpers import wait_for_slaves
from tracking import SlavePool, TrackingJobMaster
from tracking.core import events as e
from tracking.core.commands import Command
from tracking.core.scheduler import Scheduler
from tracking.fabrics.local import LocalFabric

LIMIT_S = 1.0  # an item that naps needs a tenth of it; so long may a slave be held up by whatever runs beside it


def both_up(pool: SlavePool) -> set[int]:
    return set(wait_for_slaves(pool, 2))


def test_masters_one_after_the_other_start_nothing_anew(pool: SlavePool) -> None:
    pids = both_up(pool)
    seen: set[int] = set()
    for _ in range(10):
        seen |= set(master_of(20, pid, pool=pool, chunk_size=1).calculateResult().values())
    assert seen <= pids
    assert both_up(pool) == pids


def test_tiny_calculations_of_two_functions_in_turn_cost_no_slave(pool: SlavePool) -> None:
    """Many are over before a slave that they did not need has loaded their function."""
    pids = both_up(pool)
    for number in range(200):
        function = square if number % 3 else negative
        master = master_of({number: number}, function, pool=pool)
        assert master.calculateResult() == {number: function(number)}
    assert both_up(pool) == pids


def test_items_are_not_to_blame_for_slaves_that_were_killed_before_they_began_with_them() -> None:
    with SlavePool(2) as pool:
        pids = both_up(pool)
        assert master_of(20, pool=pool, chunk_size=1).calculateResult() == squares(20)
        for slave in pids:
            os.kill(slave, signal.SIGSTOP)
        master = master_of(2, pool=pool, chunk_size=1, max_deaths=1, redistribute=0)
        master.start()
        wait_until(lambda: all(slave.jobs for slave in list(pool._crew._slaves.values())))
        for slave in pids:
            os.kill(slave, signal.SIGKILL)
        master.wait()
        assert master.result == squares(2)


@pytest.mark.parametrize("is_here", [True, False])
def test_the_scheduler_is_told_whether_messages_to_a_slave_take_time(
    is_here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready: list[e.SlaveReady] = []
    handle = Scheduler.handle

    def note(self: Scheduler, event: e.Event, now: float) -> tuple[Command, ...]:
        ready.extend([event] if isinstance(event, e.SlaveReady) else [])
        return handle(self, event, now)

    monkeypatch.setattr(Scheduler, "handle", note)
    monkeypatch.setattr(LocalFabric, "shares_memory", is_here)
    with SlavePool(1) as pool:
        assert master_of(3, pool=pool).calculateResult() == squares(3)
        assert pool.submit(square, 3).result() == 9
    assert [event.is_here for event in ready] == [is_here, is_here]


def test_slaves_that_are_ready_at_once_are_announced_as_others_are(pool: SlavePool) -> None:
    both_up(pool)
    ready: list[tuple[int, int]] = []

    class Noting(TrackingJobMaster):
        number = 0

        def initializationDone(self, slave_tid: int) -> None:
            assert slave_tid in self.slaves
            ready.append((self.number, slave_tid))

    for number in range(3):
        master = master_of(20, cls=Noting, pool=pool, chunk_size=1)
        master.number = number
        assert master.calculateResult() == squares(20)
    assert len(set(ready)) == len(ready)
    assert {number for number, _ in ready} == {0, 1, 2}


def test_a_master_that_ends_while_slaves_are_made_ready_holds_up_nobody(tmp_path: Path) -> None:
    began = tmp_path / "began"
    script = tmp_path / "slave.py"
    script.write_text(
        "import time\nfrom tracking import JobSlave\n\nclass S(JobSlave):\n"
        f"    def initialize(self, params):\n        open({str(began)!r}, 'w').close()\n        time.sleep(1000)\n"
        "    def go(self, jobs): return jobs\n"
    )
    with SlavePool(2) as pool:
        never_ready = master_of(6, pool=pool, slave_script=script)
        never_ready.start()
        wait_until(began.exists)
        never_ready.exit()
        assert master_of(6, pool=pool).calculateResult() == squares(6)


def test_masters_at_the_same_time_share_the_slaves(pool: SlavePool) -> None:
    pids = both_up(pool)
    masters = [master_of(60, pid, pool=pool, chunk_size=1, redistribute=0) for _ in range(6)]
    for master in masters:
        master.start()
    for master in masters:
        result = master.calculateResult()
        assert set(result) == set(range(60))
        assert set(result.values()) <= pids
    assert both_up(pool) == pids


def test_masters_in_many_threads_share_the_slaves(pool: SlavePool) -> None:
    results: list[Any] = []

    def work() -> None:
        for _ in range(10):
            results.append(master_of(9, pool=pool).calculateResult())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == [squares(9)] * 40


def test_masters_of_different_kinds_share_the_slaves(pool: SlavePool, tmp_path: Path) -> None:
    script = tmp_path / "slave.py"
    script.write_text("from tracking import JobSlave\nclass S(JobSlave):\n    def go(self, jobs): return jobs\n")

    class Telling(TrackingJobMaster):
        def getInitParameters(self, slave_tid: int) -> Any:
            return "parameters of the third"

    masters = [
        master_of(9, pool=pool),
        master_of(9, slave_script=Squares, pool=pool),
        master_of(9, slave_script=WithParams, pool=pool, cls=Telling),
        master_of(9, slave_script=script, pool=pool),
        master_of(9, lambda value: value + 1, pool=pool),
    ]
    for master in masters:
        master.start()
    results = [master.calculateResult() for master in masters]
    assert results[0] == results[1] == squares(9)
    assert {params for _, params in results[2].values()} == {"parameters of the third"}
    assert results[3] == {i: i for i in range(9)}
    assert results[4] == {i: i + 1 for i in range(9)}


def test_a_master_that_goes_on_alone_turns_the_loop_itself(pool: SlavePool, tmp_path: Path) -> None:
    """When the other leaves, the one that stays must be told, or nobody turns the loop for a while."""
    long = master_of({0: str(tmp_path / "go on")}, wait_for_file, pool=pool, redistribute=0)
    long.setMessageLoopDelay(1000)
    long.start()
    wait_until(lambda: long.progress["localhost_0"]["given"] + long.progress["localhost_1"]["given"])
    assert master_of(4, pool=pool).calculateResult() == squares(4)
    (tmp_path / "go on").touch()
    assert long.wait(30)


def test_calls_and_masters_share_the_slaves(pool: SlavePool) -> None:
    futures = [pool.submit(pow, 2, n) for n in range(20)]
    assert master_of(20, pool=pool, chunk_size=1).calculateResult() == squares(20)
    assert [future.result(30) for future in futures] == [2**n for n in range(20)]


def test_hosts_of_a_master_are_those_of_its_pool(pool: SlavePool) -> None:
    master = master_of(4, pool=pool)
    assert [host["nickname"] for host in master.hosts] == ["localhost_0", "localhost_1"]
    master.calculateResult()
    assert {slave["nickname"] for slave in master.slaves.values()} <= {"localhost_0", "localhost_1"}


def test_a_pool_is_left_running_after_an_interruption_and_no_slave_works_on(tmp_path: Path) -> None:
    class Looking(TrackingJobMaster):
        was_still_there = True

        def cleanup(self) -> None:
            from tests.master.helpers import is_alive

            self.was_still_there = is_alive(int(began.read_text()))

    began = tmp_path / "began"
    with SlavePool(2) as pool:
        pids = both_up(pool)
        master = master_of({0: (str(began), str(tmp_path / "never"))}, tell_and_wait, cls=Looking, pool=pool)
        master.start()
        wait_until(began.exists)
        master.exit()
        assert not master.was_still_there
        assert master_of(9, pool=pool).calculateResult() == squares(9)
        assert len(both_up(pool) & pids) == 1


def test_the_pool_of_a_finished_master_may_be_shut_down_at_once() -> None:
    for _ in range(3):
        with SlavePool(2) as pool:
            assert master_of(9, pool=pool).calculateResult() == squares(9)


def test_a_time_limit_does_not_count_while_a_slave_works_for_another_master() -> None:
    with SlavePool(1) as pool:
        masters = [master_of(2, naps, pool=pool, chunk_size=1, item_timeout=LIMIT_S) for _ in range(12)]
        for master in masters:
            master.start()
        for master in masters:
            assert master.calculateResult() == squares(2)


def naps(value: int) -> int:
    time.sleep(0.1)
    return value * value


class BusyAtFirst(TrackingJobMaster):
    """Its first result keeps it busy for longer than an item may take."""

    was_busy = False

    def job_done(self, slave_tid: int, result: dict[Any, Any]) -> None:
        if not self.was_busy:
            self.was_busy = True
            time.sleep(1.2 * LIMIT_S)


def test_a_time_limit_does_not_count_before_a_busy_master_has_sent_the_item() -> None:
    master = BusyAtFirst({n: n for n in range(15)}, 1, hosts=3, function=naps, item_timeout=LIMIT_S, verbose=0)
    assert master.calculateResult() == squares(15)
