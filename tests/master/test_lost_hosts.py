"""A calculation whose slaves end through no fault of its items, and whose fabric chooses where they are."""

from __future__ import annotations

from typing import Any

import pytest

from tracking import NoSlavesError, TrackingJobMaster
from tracking.testing import Job, ScriptedFabric, ScriptedSlave


@pytest.fixture(autouse=True)
def tried_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for what in ("_FIRST_DELAY_S", "_FIRST_RETURN_S"):
        monkeypatch.setattr(f"tracking.core.places.{what}", 0.001)


def loses_its_host(slave: ScriptedSlave, job: Job) -> None:
    slave.die("lost with its host", is_innocent=True)


def master(fabric: ScriptedFabric, **options: Any) -> TrackingJobMaster:
    data = {n: str(n) for n in range(4)}
    return TrackingJobMaster(data, function=str.upper, fabric=fabric, verbose=0, **{"hosts": "localhost"} | options)


def test_an_item_is_not_blamed_when_its_host_is_lost() -> None:
    made = master(ScriptedFabric(loses_its_host, loses_its_host), max_deaths=1)
    assert made.calculateResult() == {n: str(n) for n in range(4)}
    assert not made.errors


def test_slaves_whose_hosts_are_lost_each_time_they_are_made_ready_are_not_started_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tracking.pool.setup_deaths.MOST_LOSSES_IN_SETUP", 4)

    class BringsDownItsHost(ScriptedSlave):
        def on_setup(self, calculation: int) -> None:
            self.die("lost with its host", is_innocent=True)

    fabric = ScriptedFabric(slave=BringsDownItsHost)
    with pytest.raises(NoSlavesError, match=r"4 slaves in a row ended while they loaded .* lost with its host"):
        master(fabric).calculateResult()


def test_slaves_are_where_their_fabric_says() -> None:
    class Placed(ScriptedSlave):
        real_host = "node17"

    hosts: list[str] = []

    class Noting(TrackingJobMaster):
        def job_done(self, slave_id: int, results: Any) -> None:
            hosts.append(self.slaves[slave_id]["host"])
            super().job_done(slave_id, results)

    made = Noting({1: "a"}, function=str.upper, fabric=ScriptedFabric(slave=Placed), hosts="localhost", verbose=0)
    made.calculateResult()
    assert hosts == ["node17"]


def test_slaves_that_never_come_up_end_it_with_what_they_waited_for() -> None:
    class Unborn(ScriptedSlave):
        def on_start(self) -> None:
            pass

    fabric = ScriptedFabric(slave=Unborn)
    fabric.words, fabric.start_timeout_s = "1 job pending: Resources", 0.2
    told: list[str] = []

    made = master(fabric, heartbeat=0.1)
    made.start()
    while not any("not up yet" in text for text in told):
        told.append(str(made.why()))
    with pytest.raises(NoSlavesError, match=r"did not come up within 0.2 s: 1 job pending: Resources"):
        made.calculateResult()
    assert "slaves that are not up yet: 1 job pending: Resources" in told[-1]
