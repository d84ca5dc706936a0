"""Who was given and did what, as the master knows it."""

from __future__ import annotations

import time

import tracking
from tracking.core import events as e
from tracking.core.items import Items
from tracking.core.policy import Policy
from tracking.core.scheduler import Scheduler
from tracking.master.host_lines import host_lines
from tracking.report import HostLine

HOSTS = [{"host": "n1", "nickname": "n1_0"}, {"host": "n1", "nickname": "n1_1"}, {"host": "n2", "nickname": "n2"}]
SLAVES = dict(enumerate(HOSTS))


def test_slaves_stand_in_the_order_of_the_hosts_and_have_a_state() -> None:
    scheduler = Scheduler(Items(1), Policy(chunk_size=1, redistribute=False))
    scheduler.handle(e.SlaveReady(1, "n1", "n1_1"), 0.0)
    lines = host_lines(HOSTS, SLAVES, scheduler)
    assert lines == (
        HostLine("n1_0", "n1", 0, 0, 0, 0.0, "starting"),
        HostLine("n1_1", "n1", 1, 0, 0, 0.0, "working"),
        HostLine("n2", "n2", 0, 0, 0, 0.0, "starting"),
    )


def test_a_slave_that_is_gone_keeps_its_line_and_one_without_work_is_idle() -> None:
    scheduler = Scheduler(Items(1), Policy(chunk_size=1, redistribute=False))
    scheduler.handle(e.SlaveReady(1, "n1", "n1_1"), 0.0)
    scheduler.handle(e.JobDone(1, 1, 2.0), 2.0)
    lines = host_lines(HOSTS, {1: HOSTS[1]}, scheduler)
    assert [line.state for line in lines] == ["gone", "idle", "gone"]
    assert lines[1] == HostLine("n1_1", "n1", 1, 1, 1, 2.0, "idle")


def test_slaves_that_nobody_listed_come_last() -> None:
    scheduler = Scheduler(Items(1), Policy())
    scheduler.handle(e.SlaveReady(7, "n0", "n0"), 0.0)
    assert [line.nickname for line in host_lines(HOSTS, SLAVES, scheduler)] == ["n1_0", "n1_1", "n2", "n0"]


def snooze(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def test_the_time_of_a_job_is_that_of_all_its_parts() -> None:
    master = tracking.TrackingJobMaster(dict.fromkeys(range(4), 0.2), 4, hosts="localhost", function=snooze, verbose=0)
    master.calculateResult()
    assert master.progress["localhost"]["done"] == 1
    assert master.progress["localhost"]["time"] >= 0.8
