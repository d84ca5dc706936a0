"""Many slaves at once: those that are ready do not wait for those that are yet to be set up."""

from __future__ import annotations

import threading
from types import FrameType
from typing import Any

from tracking import TrackingJobMaster
from tracking.testing import ScriptedFabric


class Noting(TrackingJobMaster):
    """It notes who is set up and who is given jobs."""

    noted: list[str]

    def getInitParameters(self, slave_tid: int) -> Any:
        self.noted.append("set up")
        return None

    def start_job(self, slave_tid: int) -> None:
        self.noted.append("job")
        super().start_job(slave_tid)


def test_slaves_that_are_ready_get_jobs_while_others_are_set_up() -> None:
    data = dict.fromkeys(range(60), 1)
    master = Noting(data, 1, ["here"] * 50, function=abs, verbose=0, fabric=ScriptedFabric(), add_hosts=0)
    master.noted = []
    assert len(master.calculateResult()) == 60
    assert master.noted.count("set up") == 50
    assert "set up" in master.noted[master.noted.index("job") :]


def calls_per_item(slaves: int, items_each: int = 12) -> float:
    """Python functions that the master's thread calls for an item; its slaves are scripted, and live in it."""
    count = 0

    def note(frame: FrameType, event: str, arg: object) -> None:
        nonlocal count
        count += event == "call"

    data = dict.fromkeys(range(slaves * items_each), 1)
    hosts = [f"h{number}" for number in range(slaves)]
    master = TrackingJobMaster(data, 1, hosts, function=abs, verbose=0, fabric=ScriptedFabric(), add_hosts=0)
    threading.setprofile(note)
    try:
        master.calculateResult()
    finally:
        threading.setprofile(None)
    return count / len(data)


def test_an_item_costs_no_more_with_many_slaves_than_with_few() -> None:
    assert calls_per_item(64) < 1.3 * calls_per_item(4)
