"""Many slaves on a host in doubt that leave suspects to others: an event costs no more for each of them."""

from __future__ import annotations

import sys
from types import FrameType

from tracking.core import commands as c
from tracking.core import events as e
from tracking.core.items import Items
from tracking.core.policy import Policy
from tracking.core.scheduler import Scheduler


def calls_of_one_event(slaves: int) -> int:
    """How many Python functions run, or go on, for an event: so many are busy, as many idle on a host in doubt."""
    scheduler = Scheduler(Items(2 * slaves), Policy(chunk_size=1, redistribute=False))
    jobs = {}
    for number in range(2 * slaves):
        host = "sound" if number < slaves else "doubtful"
        for command in scheduler.handle(e.SlaveReady(number, host, f"{host}_{number}"), 0.0):
            assert isinstance(command, c.SendJob)
            jobs[command.slave] = command.job
    for number in range(slaves, 2 * slaves):
        scheduler.handle(e.SlaveLost(number, "killed", jobs[number], False, False), 1.0)
    for number in range(2 * slaves, 3 * slaves):
        assert not scheduler.handle(e.SlaveReady(number, "doubtful", f"doubtful_{number}"), 2.0)
    calls = 0

    def count(_frame: FrameType, kind: str, _arg: object) -> None:
        nonlocal calls
        calls += kind == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        scheduler.handle(e.Ticked(), 3.0)
    finally:
        sys.setprofile(before)
    return calls


def test_the_cost_of_an_event_grows_no_faster_than_the_number_of_idle_slaves() -> None:
    few, many = calls_of_one_event(20), calls_of_one_event(80)
    assert few < many < 5 * few
