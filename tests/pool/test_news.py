"""Who watches a pool is told of every slave that comes and goes."""

from __future__ import annotations

import os
import signal
from queue import SimpleQueue

from tests.pool import jobs
from tests.pool.helpers import WAIT_S
from tracking import SlavePool
from tracking.pool.news import NoneIsLeft, SlaveCame, SlaveLeft, SlaveNews
from tracking.testing import ScriptedFabric, ScriptedSlave


def test_those_that_are_up_those_that_come_and_those_that_die_are_told() -> None:
    news: SimpleQueue[SlaveNews] = SimpleQueue()
    with SlavePool(1) as pool:
        assert pool.submit(jobs.add, 1).result(WAIT_S) == 1
        pool.watch(news.put)
        first = news.get(timeout=WAIT_S)
        assert isinstance(first, SlaveCame)
        (pid,) = pool.pids.values()
        os.kill(pid, signal.SIGKILL)
        left, came = news.get(timeout=WAIT_S), news.get(timeout=WAIT_S)
        assert isinstance(left, SlaveLeft)
        assert (left.slave, left.how, left.is_wanted) == (first.slave, "killed by SIGKILL", False)
        assert isinstance(came, SlaveCame)
        assert came.slave.nickname == first.slave.nickname


def test_that_none_is_left_is_told_with_the_reason_and_the_last_lines() -> None:
    class Unborn(ScriptedSlave):
        def on_start(self) -> None:
            self.print("no such library\n")
            self.die("ended with exit status 1")

    news: SimpleQueue[SlaveNews] = SimpleQueue()
    with SlavePool(None, fabric=ScriptedFabric(slave=Unborn)) as pool:
        pool.watch(news.put)
        assert isinstance(news.get(timeout=WAIT_S), NoneIsLeft)  # it has none yet
        pool.add_hosts(["here"])
        lefts = []
        while isinstance(one := news.get(timeout=WAIT_S), SlaveLeft):
            lefts.append(one)
        assert {left.last_lines for left in lefts} == {"no such library"}
        assert isinstance(one, NoneIsLeft)
        assert "exit status 1" in one.why
        pool.add_hosts(["there"])
        assert isinstance(news.get(timeout=WAIT_S), SlaveLeft), "that none was left is told once"


def test_who_has_enough_is_told_no_more() -> None:
    news: SimpleQueue[SlaveNews] = SimpleQueue()
    with SlavePool(None, fabric=ScriptedFabric()) as pool:
        watch = pool.watch(news.put)
        news.get(timeout=WAIT_S)
        watch.close()
        watch.close()
        pool.add_hosts(["here"])
        assert pool.submit(jobs.add, 1).result(WAIT_S) == 1
        assert news.empty()
