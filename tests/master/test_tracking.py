"""Who was given and did what, and how users steer it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.master.helpers import master_of, squares, wait_until
from tests.master.work import nice_value, square, wait_for_file
from tracking import InputError, SlavePool, TrackingJobMaster
from tracking.core import events as e
from tracking.core.items import Items
from tracking.core.policy import Policy
from tracking.core.scheduler import Scheduler

# ---- progress


def test_progress_counts_jobs_and_their_seconds(pool: SlavePool) -> None:
    before = time.time()
    master = master_of(7, pool=pool, chunk_size=2, redistribute=0)
    assert set(master.progress) == {"localhost_0", "localhost_1"}
    assert all(line == dict.fromkeys(line, 0) for line in master.progress.values())
    master.calculateResult()
    lines = master.progress.values()
    assert all(set(line) == {"given", "done", "time", "timeStart"} for line in lines)
    assert sum(line["given"] for line in lines) == sum(line["done"] for line in lines) == 4
    assert all((line["time"] > 0) == (line["done"] > 0) for line in lines)
    assert all(before <= line["timeStart"] <= time.time() for line in lines if line["given"])


def test_progress_may_be_looked_at_while_it_runs(tmp_path: Path) -> None:
    master = master_of({0: str(tmp_path / "go on")}, wait_for_file)
    master.start()
    wait_until(lambda: master.progress["localhost"]["given"] == 1)
    assert master.progress["localhost"]["done"] == 0
    (tmp_path / "go on").touch()
    master.calculateResult()
    assert master.progress["localhost"]["done"] == 1


def test_the_report_names_every_slave(capsys: pytest.CaptureFixture[str]) -> None:
    master = master_of(4, verbose=1, hosts=["localhost", "127.0.0.1"], chunk_size=2)
    master.calculateResult()
    text = "".join(capsys.readouterr())
    assert "localhost" in text
    assert "127.0.0.1" in text
    assert "mean time" in text


def test_what_is_all_there_already_needs_no_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    master_of(4, run_file=tmp_path / "it.run").calculateResult()
    master_of(4, run_file=tmp_path / "it.run", verbose=1).calculateResult()
    told = "".join(capsys.readouterr())
    assert "4 of 4 items restored" in told
    assert "mean time" not in told


def test_a_host_times_a_number_is_so_many_slaves() -> None:
    hosts = master_of(hosts=["localhost*2", "127.0.0.1"]).hosts
    assert [host["nickname"] for host in hosts] == ["localhost_0", "localhost_1", "127.0.0.1"]


def test_a_silent_master_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    master_of(4, verbose=0).calculateResult()
    assert capfd.readouterr() == ("", "")


# ---- names


class Naming(TrackingJobMaster):
    """Asks who its slaves are while they are there."""

    def initialize(self) -> None:
        self.seen: dict[int, tuple[str, str]] = {}

    def job_done(self, slave_tid: int, result: dict[Any, Any]) -> None:
        self.seen[slave_tid] = (self.hostnameFromTID(slave_tid), self.nicknameFromTID(slave_tid))


def test_names_are_found_by_tid_and_unknown_ones_are_a_name_error() -> None:
    master = master_of(4, cls=Naming, hosts=["localhost", "127.0.0.1"], chunk_size=1)
    master.calculateResult()
    assert set(master.seen.values()) <= {("localhost", "localhost"), ("127.0.0.1", "127.0.0.1")}
    assert all(master.slaves[tid]["nickname"] == name for tid, (_, name) in master.seen.items())
    for ask in (master.hostnameFromTID, master.nicknameFromTID):
        with pytest.raises(NameError, match="12345"):
            ask(12345)


def test_names_with_underscores_survive(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    from tracking.fabrics import machine

    monkeypatch.setattr(socket, "gethostname", lambda: "node_a_01")
    machine._own_names.cache_clear()
    try:
        master = master_of(4, cls=Naming, hosts=["node_a_01"] * 2, chunk_size=1)
        master.calculateResult()
        assert {host for host, _ in master.seen.values()} == {"node_a_01"}
        assert {name for _, name in master.seen.values()} <= {"node_a_01_0", "node_a_01_1"}
    finally:
        machine._own_names.cache_clear()


# ---- niceness


def test_slaves_are_as_nice_as_their_host_is_to_be() -> None:
    base = os.getpriority(os.PRIO_PROCESS, 0)
    result = master_of(2, nice_value, niceness={"localhost": base + 3, "default": base + 1}).calculateResult()
    assert set(result.values()) == {base + 3}
    result = master_of(2, nice_value, hosts=["127.0.0.1"], niceness={"localhost": base + 3, "default": base + 1})
    assert set(result.calculateResult().values()) == {base + 1}


def test_the_default_niceness_is_the_nicest_there_is() -> None:
    master = TrackingJobMaster({0: 0}, function=nice_value, hosts=["localhost"], verbose=0)
    assert master.calculateResult() == {0: 19}  # 20 asked for; the kernel's last is 19


OLD_SCRIPT = """
import os, sys
from tracking import JobSlave

class Slave(JobSlave):
    def go(self, jobs):
        return {id: (os.getpriority(os.PRIO_PROCESS, 0), sys.argv[1]) for id in jobs}

if __name__ == '__main__':
    os.nice(int(sys.argv[1]))
    slave = Slave()
    slave.start()
"""


def test_a_script_that_sets_its_niceness_itself_is_not_nicer_for_it(tmp_path: Path) -> None:
    script = tmp_path / "slave.py"
    script.write_text(OLD_SCRIPT)
    base = os.getpriority(os.PRIO_PROCESS, 0)
    result = master_of(1, slave_script=str(script), niceness={"default": base + 5}).calculateResult()
    assert result == {0: (base + 5, "5")}
    (script.write_text(OLD_SCRIPT.replace("os.nice(", "(")),)
    result = master_of(1, slave_script=str(script), niceness={"default": base + 5}).calculateResult()
    assert result == {0: (base + 5, "5")}


# ---- disabled and slow hosts


def test_a_host_that_is_disabled_gets_no_more_and_what_it_did_counts() -> None:
    class Disabling(TrackingJobMaster):
        def job_done(self, slave_tid: int, result: dict[Any, Any]) -> None:
            if self.hostnameFromTID(slave_tid) == "localhost" and not self.disabled_hosts:
                self.disabled_hosts.append("localhost")
                self.given = self.progress["localhost"]["given"]

    hosts = ["localhost", "127.0.0.1"]
    master = master_of(400, cls=Disabling, hosts=hosts, chunk_size=1, redistribute=0)
    assert master.calculateResult() == squares(400)
    if master.disabled_hosts:
        assert master.progress["localhost"]["given"] == master.given


def test_a_host_that_is_disabled_before_the_start_gets_nothing() -> None:
    master = master_of(10, hosts=["localhost", "127.0.0.1"], chunk_size=1)
    master.disabled_hosts.append("localhost")
    assert master.calculateResult() == squares(10)
    assert master.progress["localhost"]["given"] == 0
    assert master.progress["127.0.0.1"]["done"] == 10


def test_a_host_that_is_enabled_again_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    master = master_of(10, chunk_size=1)
    master.disabled_hosts = ["localhost"]
    master.start()
    wait_until(lambda: master.slaves and master.messageLoopIsUp("localhost"))
    wait_until(lambda: caplog.messages)
    assert "all hosts are disabled" in caplog.text
    assert not master.result
    master.disabled_hosts.remove("localhost")
    assert master.calculateResult() == squares(10)


@pytest.mark.parametrize("when", ["before", "during"])
def test_slow_hosts_get_smaller_chunks(tmp_path: Path, when: str) -> None:
    gate = tmp_path / "gate"

    class Watching(TrackingJobMaster):
        """Lets items end when all slaves are there, and notes who gets how many of them."""

        def initialize(self) -> None:
            self.n_ready = 0
            self.chunks: dict[str, list[int]] = {"localhost": [], "127.0.0.1": []}

        def initializationDone(self, slave_tid: int) -> None:
            self.n_ready += 1
            if self.n_ready == 2:
                gate.touch()

        def job_done(self, slave_tid: int, result: dict[Any, Any]) -> None:
            self.chunks[self.hostnameFromTID(slave_tid)].append(len(result))

    class Marking(Watching):
        def getInitParameters(self, slave_tid: int) -> Any:
            self.mark_slow_slaves(["localhost"], 4.0)

    cls = Watching if when == "before" else Marking
    data = dict.fromkeys(range(200), str(gate))
    hosts = ["localhost", "127.0.0.1"]
    master = master_of(data, wait_for_file, cls=cls, hosts=hosts, chunk_size=8, redistribute=0)
    if when == "before":
        master.mark_slow_slaves(["localhost"], 4.0)
    assert master.calculateResult() == data
    assert master.slow_hosts == {"localhost": 4.0}
    assert max(master.chunks["localhost"], default=0) <= 2
    assert max(master.chunks["127.0.0.1"]) == 8


def test_a_slow_host_gets_none_of_the_last_jobs_when_others_are_there() -> None:
    scheduler = Scheduler(Items(40), Policy(chunk_size=4))
    scheduler.handle(e.HostSlowed("snail", 4.0), 0.0)
    scheduler.handle(e.SlaveReady(1, "snail", "snail"), 0.0)
    scheduler.handle(e.SlaveReady(2, "hare", "hare"), 0.0)
    now = 1.0
    last: dict[int, int] = {}
    while not scheduler.is_finished:
        job = next(j for s in (2, 1) for j in scheduler.jobs_of_slave(s))
        view = scheduler.job(job)
        assert view is not None
        last = dict.fromkeys(view.positions, view.slave) | last
        scheduler.handle(e.JobDone(job, view.slave, 0.01 * len(view.positions)), now)
        now += 0.01
    assert last[39] == 2


@pytest.mark.parametrize("factor", [0, -1])
def test_a_slow_factor_must_be_positive(factor: float) -> None:
    with pytest.raises(InputError, match="slow_factor"):
        master_of().mark_slow_slaves(["localhost"], factor)


def test_a_single_slow_host_may_be_given_as_a_string() -> None:
    master = master_of()
    master.mark_slow_slaves("localhost", 2)
    assert master.slow_hosts == {"localhost": 2}


# ---- chunks


@pytest.mark.parametrize(("chunk_size", "n_jobs"), [(1, 9), (4, 3), (9, 1), (100, 1)])
def test_jobs_have_as_many_items_as_wanted(pool: SlavePool, chunk_size: int, n_jobs: int) -> None:
    master = master_of(9, pool=pool, chunk_size=chunk_size, redistribute=0)
    assert master.calculateResult() == squares(9)
    assert sum(line["given"] for line in master.progress.values()) == n_jobs


def test_chunks_of_automatic_size_grow_while_items_are_small(pool: SlavePool) -> None:
    master = master_of(20_000, pool=pool, chunk_size="auto")
    assert master.calculateResult() == squares(20_000)
    assert sum(line["given"] for line in master.progress.values()) < 2000


def test_slaves_replaced_or_spawned_go_by_their_names() -> None:
    class Spawning(TrackingJobMaster):
        has_spawned = False

        def initializationDone(self, slave_tid: int) -> None:
            if not self.has_spawned:
                self.has_spawned = True
                self.tid = self.spawn("localhost", "helper", 0)

        def is_valid_slave(self, slave_tid: int) -> bool:
            return self.nicknameFromTID(slave_tid) == "helper"

    master = master_of(30, square, cls=Spawning, chunk_size=1, redistribute=0)
    assert master.calculateResult() == squares(30)
    assert master.slaves[master.tid] == {"host": "localhost", "nickname": "helper"}
    assert master.progress["helper"]["done"] == 29
