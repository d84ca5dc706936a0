"""Pools that begin without a slave, slaves of other fabrics beside the pool's own, and a file per slave."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from tests.pool import jobs
from tests.pool.helpers import WAIT_S, wait_for_end
from tracking import InputError, NoSlavesError, SlavePool
from tracking.fabrics.dialled import DialledFabric
from tracking.pool.futures import Call
from tracking.pool.news import NoneIsLeft, SlaveNews
from tracking.testing import ScriptedFabric, ScriptedSlave


def why_none_is_left(pool: SlavePool) -> str:
    """Wait until no slave is left."""
    news: SimpleQueue[SlaveNews] = SimpleQueue()
    pool.watch(news.put)
    while not isinstance(one := news.get(timeout=WAIT_S), NoneIsLeft):
        pass
    return one.why


def test_a_pool_may_begin_without_a_slave_and_works_when_hosts_are_added() -> None:
    with SlavePool(None, fabric=ScriptedFabric()) as pool:
        assert pool.slaves == {}
        with pytest.raises(NoSlavesError, match="it has no slaves"):
            pool.submit(jobs.add, 1)
        pool.add_hosts(["here"])
        assert pool.submit(jobs.add, 1).result(WAIT_S) == 1


def test_slaves_of_several_fabrics_work_side_by_side_and_all_fabrics_end_with_the_pool() -> None:
    one, other = ScriptedFabric(), ScriptedFabric()
    with SlavePool(1, fabric=one) as pool:
        pool.add_hosts(2, other)
        pool.add_hosts(["more"], other)
        assert sorted(pool.map(jobs.add, range(30))) == list(range(30))
        assert (len(one.slaves), len(other.slaves)) == (1, 3)
    assert not any(slave.is_alive for slave in [*one.slaves, *other.slaves])


def test_a_slave_that_dies_is_replaced_by_its_own_fabric() -> None:
    one, other = ScriptedFabric(), ScriptedFabric()
    with SlavePool(None, fabric=one) as pool:
        pool.add_hosts(["there"], other)
        assert pool.submit(jobs.add, 1).result(WAIT_S) == 1
        other.slaves[0].die()
        assert pool.submit(jobs.add, 1).result(WAIT_S) == 1
    assert (len(one.slaves), len(other.slaves)) == (0, 2)


def test_local_slaves_and_those_that_dial_are_one_pool() -> None:
    with SlavePool(1) as pool:
        pool.add_hosts(1, DialledFabric())
        assert sorted(pool.map(jobs.add, range(30))) == list(range(30))


@pytest.mark.parametrize("fabric", ["no such fabric", 3])
def test_a_wrong_fabric_is_refused_and_the_pool_lives_on(fabric: Any) -> None:
    with SlavePool(1, fabric=ScriptedFabric()) as pool:
        with pytest.raises(InputError):
            pool.add_hosts(1, fabric)
        assert pool.submit(jobs.add, 1).result(WAIT_S) == 1


# ---- nicknames


def test_nicknames_can_be_chosen() -> None:
    with SlavePool(None, fabric=ScriptedFabric()) as pool:
        pool.add_hosts(["a", "a"], nicknames=["slave0", "slave1"])
        pool.add_hosts(["a"])
        assert {slave["nickname"] for slave in pool.slaves.values()} == {"slave0", "slave1", "a_2"}


@pytest.mark.parametrize("nicknames", [["one"], ["one", "one"], ["here", "one"], "ab"])
def test_nicknames_that_are_too_few_or_taken_are_refused(nicknames: Any) -> None:
    with SlavePool(["here"], fabric=ScriptedFabric()) as pool:
        with pytest.raises(InputError, match="nickname"):
            pool.add_hosts(["a", "a"], nicknames=nicknames)
        assert len(pool.slaves) == 1


# ---- a file per slave


def test_each_slave_has_a_file_of_its_own_for_what_it_prints(tmp_path: Path) -> None:
    with SlavePool(2, output=str(tmp_path / "{nickname}@{host}.log")) as pool:
        for text in ("one", "two", "three", "four"):
            pool.submit(os.system, f"echo {text}; echo {text} >&2").result(WAIT_S)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["localhost_0@localhost.log", "localhost_1@localhost.log"]
    lines = [line for name in files for line in (tmp_path / name).read_text().splitlines()]
    assert sorted(lines) == sorted(2 * ["one", "two", "three", "four"])


def test_the_file_is_there_when_the_slave_is_started_and_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unborn(ScriptedSlave):
        def on_start(self) -> None:
            self.print("no such library\n")
            self.die("ended with exit status 1")

    (tmp_path / "0.log").write_text("of yesterday")
    monkeypatch.chdir(tmp_path)
    with SlavePool(None, fabric=ScriptedFabric(slave=Unborn)) as pool:
        pool.add_hosts(["a", "b"], output=["0.log", "1.log"])
        monkeypatch.chdir("/")
        assert "exit status 1" in why_none_is_left(pool)
    assert (tmp_path / "0.log").read_text() == 3 * "no such library\n"
    assert (tmp_path / "1.log").exists()


def test_who_takes_the_place_of_a_slave_writes_behind_what_that_has_printed(tmp_path: Path) -> None:
    with SlavePool(None) as pool:
        pool.add_hosts(["localhost"], output=str(tmp_path / "log"))
        pool.submit(os.system, "echo one").result(WAIT_S)
        (pid,) = pool.pids.values()
        os.kill(pid, signal.SIGKILL)
        wait_for_end(pid)
        pool.submit(os.system, "echo two").result(WAIT_S)
    assert (tmp_path / "log").read_text() == "one\ntwo\n"


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with SlavePool(1, fabric=ScriptedFabric(), output=str(tmp_path / "nowhere" / "log")) as pool:
        assert "nowhere" in why_none_is_left(pool)


@pytest.mark.parametrize("output", ["", 3, [1], ["one"], []])
def test_a_wrong_output_is_refused(output: Any) -> None:
    with SlavePool(None, fabric=ScriptedFabric()) as pool, pytest.raises(InputError, match="output"):
        pool.add_hosts(["a", "b"], output=output)


# ---- who has made a call


def test_a_future_knows_who_was_given_its_call_and_how_long_that_took() -> None:
    with SlavePool(1, fabric=ScriptedFabric()) as pool:
        for future in (pool.submit(jobs.add, 1), pool.submit(jobs.raise_key_error, "x")):
            future.exception(WAIT_S)
            assert isinstance(future, Call)
            assert future.slave is not None
            assert future.slave.nickname == "localhost"
            assert future.seconds == 0.001
