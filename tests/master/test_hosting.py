"""Hosts are checked before slaves are started there, and come and go while a master is at work."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.fabrics.sshd import sshd
from tests.master.helpers import master_of, squares, wait_until
from tests.pool.helpers import Gates, Held
from tracking import InputError, Interrupted, NoSlavesError, SlavePool, TrackingJobMaster, restart
from tracking.fabrics.base import SlaveLines, SlaveSpec
from tracking.master.restarting import resume
from tracking.testing import ScriptedFabric


class Beyond(ScriptedFabric):
    """Slaves on any host; some fail the check. The first check can be made to wait."""

    def __init__(self, *script: Any, failing: dict[str, str] | None = None) -> None:
        super().__init__(*script)
        self.failing = failing or {}
        self.asked: list[list[str]] = []
        self.is_asked = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()

    def check(self, hosts: Sequence[str]) -> dict[str, str]:
        self.asked.append(list(hosts))
        if len(self.asked) == 1:
            self.is_asked.set()
            assert self.may_answer.wait(30.0)
        return super().check(hosts)

    @property
    def names(self) -> list[str]:
        return [slave.nickname for slave in self.slaves]


def nicknames(master: TrackingJobMaster) -> list[str]:
    return [entry["nickname"] for entry in master.hosts]


# ---- before slaves are started


class Prepared(Beyond):
    """Takes note of when it is told that slaves will be started, and of its end."""

    def __init__(self, story: list[str]) -> None:
        super().__init__()
        self.story = story

    def prepare(self) -> None:
        self.story.append("prepared")

    def start(self, spec: SlaveSpec) -> SlaveLines | None:
        self.story.append("started")
        return super().start(spec)

    def close(self) -> None:
        self.story.append("closed")
        super().close()


def test_slaves_boot_after_initialize_and_before_they_are_started() -> None:
    class Initializing(TrackingJobMaster):
        def initialize(self) -> None:
            story.append("initialize")

    story: list[str] = []
    master = Initializing(
        {0: 1}, hosts=["a"], function=abs, fabric=Prepared(story), verbose=0
    )
    assert master.calculateResult() == {0: 1}
    assert story[:4] == ["initialize", "prepared", "started", "closed"]


def test_nothing_boots_where_all_is_done() -> None:
    story: list[str] = []
    assert master_of({}, fabric=Prepared(story), hosts=["a"]).calculateResult() == {}
    assert set(story) == {"closed"}


def test_what_was_prepared_is_closed_where_the_calculation_cannot_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise ValueError("no")

    story: list[str] = []
    monkeypatch.setattr(TrackingJobMaster, "_tr_make_calculation", fail)
    with pytest.raises(ValueError, match="no"):
        master_of(fabric=Prepared(story), hosts=["a"]).calculateResult()
    assert list(dict.fromkeys(story)) == ["prepared", "closed"]



def test_a_host_that_fails_the_check_is_left_out_and_named_once(caplog: pytest.LogCaptureFixture) -> None:
    fabric = Beyond(failing={"b": "Permission denied (publickey)", "c": "Python 3.8 is too old"})
    master = master_of(fabric=fabric, hosts=["a", "b", "b", "c"])
    assert master.calculateResult() == squares(6)
    assert fabric.asked == [["a", "b", "c"]]
    assert fabric.names == ["a"]
    assert nicknames(master) == ["a"]
    (record,) = caplog.records
    assert record.message == (
        "2 hosts are left out: b: Permission denied (publickey); c: Python 3.8 is too old"
    )


def test_who_ends_a_master_while_hosts_are_tried_does_not_wait_for_them() -> None:
    class Unhurried(Beyond):
        def stop_checking(self) -> None:
            self.may_answer.set()

    fabric = Unhurried(failing={"a": "it was not waited for any more"})
    fabric.may_answer.clear()
    master = master_of(fabric=fabric, hosts=["a"])
    master.start()
    assert fabric.is_asked.wait(30.0)
    master.exit()
    with pytest.raises(Interrupted):
        master.calculateResult()


def test_why_tells_of_hosts_that_were_left_out() -> None:
    held = Held()
    master = master_of(1, fabric=Beyond(held, failing={"b": "no route to host"}), hosts=["a", "b"])
    master.start()
    slave, job = held.next()
    assert "b" in master.why()
    assert "no route to host" in master.why()
    slave.finish(job)
    assert master.wait()


def test_all_hosts_failing_is_an_error_that_names_them_all() -> None:
    fabric = Beyond(failing={"a": "no route to host", "b": "timed out"})
    with pytest.raises(NoSlavesError, match=r"^no slave can be started on any host: a: no route .*; b: timed out$"):
        master_of(fabric=fabric, hosts=["a", "b"]).calculateResult()
    assert not fabric.slaves


def test_add_hosts_0_means_no_check() -> None:
    fabric = Beyond(failing={"a": "timed out"})
    assert master_of(fabric=fabric, hosts="a", add_hosts=0).calculateResult() == squares(6)
    assert not fabric.asked


def test_an_interruption_during_the_check_starts_no_slave() -> None:
    fabric = Beyond()
    fabric.may_answer.clear()
    master = master_of(fabric=fabric, hosts="a")
    master.start()
    assert fabric.is_asked.wait(30.0)
    master.stop()
    fabric.may_answer.set()
    with pytest.raises(Interrupted):
        master.calculateResult()
    assert not fabric.slaves


def test_nothing_is_checked_when_nothing_is_to_be_done() -> None:
    fabric = Beyond()
    assert master_of(0, fabric=fabric, hosts="a").calculateResult() == {}
    assert not fabric.asked


# ---- before the start


def test_before_the_start_only_the_list_changes() -> None:
    fabric = Beyond()
    master = master_of(fabric=fabric, hosts=["a"])
    assert master.addHosts(["a", "b*2"]) == {}
    assert master.addHosts([]) == {}
    assert nicknames(master) == ["a", "a_1", "b_0", "b_1"]
    master.removeHosts("b")
    assert nicknames(master) == ["a", "a_1"]
    assert not fabric.asked
    assert master.calculateResult() == squares(6)
    assert fabric.names == ["a", "a_1"]


def test_hosts_added_during_initialize_are_started_with_the_others() -> None:
    class Adding(TrackingJobMaster):
        def initialize(self) -> None:
            self.addHosts("b")
            self.removeHosts("a")

    fabric = Beyond()
    assert master_of(cls=Adding, fabric=fabric, hosts="a").calculateResult() == squares(6)
    assert fabric.names == ["b"]


def test_hosts_may_change_while_the_first_ones_are_checked() -> None:
    held = Held()
    fabric = Beyond(held, failing={"a": "timed out"})
    fabric.may_answer.clear()
    master = master_of(1, fabric=fabric, hosts=["a", "b"])
    master.start()
    assert fabric.is_asked.wait(30.0)
    master.removeHosts("b")
    master.addHosts("c")
    fabric.may_answer.set()
    slave, job = held.next()
    slave.finish(job)
    assert master.calculateResult() == squares(1)
    assert fabric.names == ["c"]
    assert fabric.asked == [["a", "b"], ["c"]]


def test_a_master_whose_hosts_were_all_removed_has_no_slaves() -> None:
    master = master_of(fabric=Beyond(), hosts="a")
    master.removeHosts("a")
    with pytest.raises(NoSlavesError, match="it has no slaves"):
        master.calculateResult()


# ---- while it runs


def test_hosts_are_added_while_it_runs_and_count_on() -> None:
    held = Held()
    fabric = Beyond(held, held, held)
    master = master_of(3, chunk_size=1, fabric=fabric, hosts=["a"], redistribute=0)
    master.start()
    first = held.next()
    assert master.addHosts(["a", "b"]) == {}
    others = held.next(), held.next()
    assert nicknames(master) == ["a", "a_1", "b"]
    assert fabric.names == ["a", "a_1", "b"]
    for slave, job in (first, *others):
        slave.finish(job)
    assert master.calculateResult() == squares(3)
    assert set(master.progress) == {"a", "a_1", "b"}


def test_those_of_the_added_that_fail_are_returned_and_named(caplog: pytest.LogCaptureFixture) -> None:
    held = Held()
    fabric = Beyond(held, failing={"b": "timed out"})
    master = master_of(1, fabric=fabric, hosts=["a"])
    master.start()
    slave, job = held.next()
    assert master.addHosts(["b", "c"]) == {"b": "timed out"}
    assert [record.message for record in caplog.records] == ["1 host is left out: b: timed out"]
    with pytest.raises(NoSlavesError, match="no slave can be started on any host: b: timed out"):
        master.addHosts("b")
    assert nicknames(master) == ["a", "c"]
    slave.finish(job)
    assert master.wait()


def test_wrong_hosts_are_refused_and_nothing_is_added() -> None:
    master = master_of(hosts="localhost", fabric="local")
    with pytest.raises(InputError, match="on this machine only, not on 'elsewhere'"):
        master.addHosts(["localhost", "elsewhere"])
    with pytest.raises(InputError, match="there is no host 'elsewhere' here; there are: localhost"):
        master.removeHosts(["elsewhere"])
    with pytest.raises(InputError, match="hosts must be a list of host names, not 3"):
        master.removeHosts(3)
    assert nicknames(master) == ["localhost"]


def test_slaves_of_a_removed_host_end_when_their_jobs_are_done() -> None:
    held = Held()
    fabric = Beyond(held, held)
    master = master_of(6, chunk_size=1, fabric=fabric, hosts=["a", "b"], redistribute=0)
    master.start()
    held_jobs = {slave.nickname: (slave, job) for slave, job in (held.next(), held.next())}
    master.removeHosts("b")
    slave, job = held_jobs["b"]
    assert slave.is_alive
    slave.finish(job)
    wait_until(lambda: not slave.is_alive, "its end")
    slave, job = held_jobs["a"]
    slave.finish(job)
    assert master.calculateResult() == squares(6)
    assert fabric.names == ["a", "b"]
    assert master.progress["b"]["done"] == 1


def test_now_their_items_go_to_others_and_nobody_is_to_blame() -> None:
    held = Held()
    fabric = Beyond(held, held)
    master = master_of(2, chunk_size=1, fabric=fabric, hosts=["a", "b"], redistribute=0, max_deaths=1)
    master.start()
    held_jobs = {slave.nickname: (slave, job) for slave, job in (held.next(), held.next())}
    master.removeHosts(["b"], now=True)
    slave, job = held_jobs["a"]
    slave.finish(job)
    assert master.calculateResult() == squares(2)
    assert master.errors == {}
    assert fabric.names == ["a", "b"]


def test_the_last_host_removed_is_an_error_and_no_hang() -> None:
    held = Held()
    master = master_of(3, chunk_size=1, fabric=Beyond(held), hosts=["a"], redistribute=0)
    master.start()
    slave, job = held.next()
    master.removeHosts("a")
    slave.finish(job)
    with pytest.raises(NoSlavesError, match="no slave is left to do the work: a: it was removed"):
        master.calculateResult()
    assert master.result


def test_the_last_host_removed_with_the_last_items_done_is_no_error() -> None:
    held = Held()
    master = master_of(1, fabric=Beyond(held), hosts=["a"])
    master.start()
    slave, job = held.next()
    master.removeHosts("a")
    slave.finish(job)
    assert master.calculateResult() == squares(1)


def test_a_host_that_was_removed_may_be_added_again() -> None:
    held = Held()
    fabric = Beyond(held)
    master = master_of(4, chunk_size=1, fabric=fabric, hosts=["a"], redistribute=0)
    master.start()
    slave, job = held.next()
    master.removeHosts("a")
    master.addHosts("a")
    wait_until(lambda: len(master.result) == 3, "the work of the other")
    slave.finish(job)
    assert master.calculateResult() == squares(4)
    assert fabric.names == ["a", "a_1"]
    assert nicknames(master) == ["a_1"]


@pytest.mark.parametrize("now", [False, True])
def test_hosts_may_change_in_hooks(now: bool) -> None:
    class Moving(TrackingJobMaster):
        moves = 0

        def job_done(self, slave_tid: int, result: dict[Any, Any]) -> None:
            self.moves += 1
            here = self.hosts[0]["host"]
            self.addHosts(f"h{self.moves}")
            self.removeHosts(here, now=now)

    master = master_of(5, cls=Moving, chunk_size=1, fabric=Beyond(), hosts=["h0"], redistribute=0)
    assert master.calculateResult() == squares(5)
    assert master.moves >= 5
    assert nicknames(master) == [f"h{master.moves}"]


def test_a_host_removed_while_its_slave_is_initialized() -> None:
    class Removing(TrackingJobMaster):
        def getInitParameters(self, slave_tid: int) -> Any:
            if self.slaves[slave_tid]["host"] == "b":
                self.removeHosts("b")

    fabric = Beyond()
    assert master_of(cls=Removing, fabric=fabric, hosts=["a", "b"]).calculateResult() == squares(6)
    assert fabric.names == ["a", "b"]


def test_hosts_may_come_and_go_from_many_threads_while_it_works() -> None:
    master = master_of(400, chunk_size=1, fabric=Beyond(), hosts=["a"])
    refused: list[BaseException] = []

    def come_and_go(host: str) -> None:
        try:
            for number in range(10):
                master.addHosts(host)
                master.removeHosts(host, now=bool(number % 2))
        except BaseException as error:
            refused.append(error)

    threads = [threading.Thread(target=come_and_go, args=(f"h{n}",)) for n in range(3)]
    master.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert master.calculateResult() == squares(400)
    assert refused == []
    assert nicknames(master) == ["a"]


def test_after_the_end_only_the_list_changes_and_a_restart_works_there() -> None:
    fabric = Beyond()
    master = master_of(fabric=fabric, hosts=["a"])
    master.calculateResult()
    master.addHosts("b")
    master.removeHosts("a")
    assert nicknames(master) == ["b"]
    assert fabric.names == ["a"]
    again = restart(master.getRst(), fabric=Beyond())
    assert nicknames(again) == ["b"]


def test_a_run_file_that_is_resumed_tries_again_the_hosts_that_were_left_out(tmp_path: Path) -> None:
    path = tmp_path / "run"
    master = master_of(fabric=Beyond(failing={"b": "timed out"}), hosts=["a", "b"], run_file=path)
    assert master.calculateResult() == squares(6)
    assert nicknames(resume(path, fabric=Beyond())) == ["a", "b"]


# ---- with slaves of this machine


def test_a_real_slave_comes_and_another_goes() -> None:
    class Changing(TrackingJobMaster):
        def job_done(self, slave_tid: int, result: dict[Any, Any]) -> None:
            if len(self.hosts) == 1 and self.hosts[0]["host"] == "localhost":
                self.addHosts("127.0.0.1")
                self.removeHosts("localhost")

    master = master_of(20, cls=Changing, chunk_size=1)
    assert master.calculateResult() == squares(20)
    assert nicknames(master) == ["127.0.0.1"]
    assert master.progress["127.0.0.1"]["done"] > 0


# ---- with hosts over ssh


@pytest.fixture
def own_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The ssh that is found reaches a server of our own, whatever the host is called, but for "gone"."""
    with sshd(tmp_path, client="Host gone\n  Port 1\n") as config:
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {config} "$@"\n')
        (folder / "ssh").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        hosts_file = tmp_path / "hosts.toml"
        hosts_file.write_text(f'[own]\ndefault = {{python = "{sys.executable}"}}\nnear1 = 1\nlocalhost = 1\ngone = 1\n')
        monkeypatch.chdir(tmp_path)
        yield


@pytest.mark.engine
def test_local_and_remote_hosts_work_together_and_one_that_is_down_is_left_out(
    own_ssh: None, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    gates = Gates(tmp_path)
    data = {0: gates.new(), 1: gates.new()}
    master = master_of(
        data, lambda path: Path(path).read_text(), hosts="@hosts.toml", chunk_size=1, redistribute=0, niceness=0
    )
    master.start()
    gates.open_all()  # both are at work
    assert master.calculateResult() == {0: "", 1: ""}
    assert sorted(nicknames(master)) == ["localhost", "near1"]
    assert all(master.progress[name]["done"] == 1 for name in ("localhost", "near1"))
    (record,) = caplog.records
    assert record.message.startswith("1 host is left out: gone: no ssh server listens there")


@pytest.mark.engine
def test_remote_hosts_come_and_go_while_a_master_is_at_work(own_ssh: None) -> None:
    class Moving(TrackingJobMaster):
        has_moved = False

        def job_done(self, slave_tid: int, result: dict[Any, Any]) -> None:
            if not self.has_moved:
                self.has_moved = True
                self.failed = self.addHosts("@hosts.toml")
                self.removeHosts("localhost")

    master = master_of(30, cls=Moving, chunk_size=1)
    assert master.calculateResult() == squares(30)
    assert list(master.failed) == ["gone"]
    assert nicknames(master) == ["near1"]
    assert master.progress["near1"]["done"] > 0


# ---- with a pool


def test_a_master_with_a_pool_changes_the_pool() -> None:
    held = Held()
    fabric = Beyond(held, held)
    with SlavePool("a", fabric=fabric) as pool:
        master = master_of(2, chunk_size=1, pool=pool, redistribute=0)
        master.start()
        first = held.next()
        master.addHosts("b")
        second = held.next()
        assert nicknames(master) == ["a", "b"]
        master.removeHosts("a")
        assert nicknames(master) == ["b"]
        for slave, job in (first, second):
            slave.finish(job)
        assert master.calculateResult() == squares(2)
        wait_until(lambda: [slave["nickname"] for slave in pool.slaves.values()] == ["b"])


def test_two_masters_on_a_pool_both_go_on_when_a_host_is_removed() -> None:
    held = Held()
    fabric = Beyond(held, held)
    with SlavePool(["a", "b"], fabric=fabric) as pool:
        masters = [master_of(8, chunk_size=1, pool=pool, redistribute=0) for _ in range(2)]
        for master in masters:
            master.start()
        jobs = held.next(), held.next()
        pool.remove_hosts("b", now=True)
        for slave, job in jobs:
            slave.finish(job)
        for master in masters:
            assert master.calculateResult() == squares(8)
        assert len(fabric.slaves) == 2


def test_calls_go_on_after_all_hosts_were_removed_and_others_added() -> None:
    with SlavePool("a", fabric=Beyond()) as pool:
        assert pool.submit(abs, -1).result() == 1
        pool.remove_hosts("a")
        wait_until(lambda: not pool.slaves)
        with pytest.raises(NoSlavesError, match="a: it was removed"):
            pool.submit(abs, -2).result()
        pool.add_hosts("b")
        assert pool.submit(abs, -3).result() == 3


def test_a_pool_checks_its_hosts(caplog: pytest.LogCaptureFixture) -> None:
    fabric = Beyond(failing={"b": "timed out"})
    with SlavePool(["a", "b"], fabric=fabric) as pool:
        assert [slave["host"] for slave in pool.slaves.values()] == ["a"]
        assert pool.add_hosts(["b", "c", "a"]) == {"b": "timed out"}
        assert fabric.names == ["a", "c", "a_1"]
        with pytest.raises(InputError, match="there is no host 'd' here; there are: a, c"):
            pool.remove_hosts("d")
    assert len(caplog.records) == 2
    with pytest.raises(RuntimeError, match="shut down"):
        pool.add_hosts("a")
    with pytest.raises(NoSlavesError, match="any host: b: timed out"):
        SlavePool("b", fabric=fabric)
    with SlavePool("b", fabric=fabric, check_hosts=False) as pool:
        assert pool.submit(abs, -1).result() == 1
