"""Calculations and calls on slaves whose time is limited."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.pool import jobs
from tests.pool.helpers import WAIT_S
from tracking import CalculationError, ItemTimeout, NoSlavesError, SlavePool, TrackingJobMaster
from tracking.testing import Job, ScriptedFabric, ScriptedSlave, done

LIFE_S = 0.3


class Brief(ScriptedSlave):
    """It may stay for a moment only."""

    left_s = LIFE_S


class Ending:
    """A reaction: the slave works on, saying nothing, until its time is up."""

    def __init__(self) -> None:
        self.timers: list[threading.Timer] = []

    def __call__(self, slave: ScriptedSlave, job: Job) -> None:
        timer = threading.Timer(LIFE_S, lambda: slave.die("lost to its time limit", is_innocent=True))
        self.timers.append(timer)
        timer.start()


@contextmanager
def ending() -> Iterator[Ending]:
    it = Ending()
    try:
        yield it
    finally:
        for timer in it.timers:
            timer.join()


def calculate(fabric: ScriptedFabric, count: int = 1, **options: Any) -> tuple[TrackingJobMaster, Any]:
    data = {n: str(n) for n in range(count)}
    master = TrackingJobMaster(data, function=str.upper, fabric=fabric, hosts="localhost", verbose=0, **options)
    return master, master.calculateResult()


def test_an_item_that_needs_more_time_than_slaves_have_fails_with_the_time_limit_in_its_error() -> None:
    with ending() as ends:
        with pytest.raises(CalculationError) as caught:
            calculate(ScriptedFabric(ends, ends, slave=Brief), max_deaths=2)
        (error,) = caught.value.errors.values()
        assert isinstance(error, ItemTimeout)
        assert "was not done in the 0.3 s that its slave may stay: allow slaves a longer time limit" in str(error)
        assert error.tries == 2


def test_an_item_that_outlasted_one_slave_is_done_by_the_next() -> None:
    with ending() as ends:
        master, result = calculate(ScriptedFabric(ends, done, slave=Brief), 3)
        assert result == {0: "0", 1: "1", 2: "2"}
        assert not master.errors


class Timeless(ScriptedSlave):
    """Its time is up as soon as it has come."""

    left_s = 0.0


def test_slaves_that_have_no_time_for_anything_end_a_calculation_with_the_reason() -> None:
    words = r"3 slaves in a row .* was out of time: the 0 s that it may stay were over before it was ready"
    with pytest.raises(NoSlavesError, match=words):
        calculate(ScriptedFabric(slave=Timeless))


def test_calls_are_not_sent_to_a_slave_whose_time_is_nearly_up_and_another_takes_its_place() -> None:
    fabric = ScriptedFabric(slave=Brief)
    with SlavePool(1, fabric=fabric) as pool:
        assert pool.submit(jobs.add, 1, b=2).result(WAIT_S) == 3
        first = fabric.slaves[0]
        while first.is_alive:  # it is retired shortly before its end
            pool.submit(jobs.add, 1, b=2).result(WAIT_S)
        assert pool.submit(jobs.add, 1, b=2).result(WAIT_S) == 3
        assert len(fabric.slaves) >= 2


def test_slaves_that_have_no_time_for_anything_fail_calls_with_the_reason() -> None:
    with SlavePool(1, fabric=ScriptedFabric(slave=Timeless)) as pool, pytest.raises(NoSlavesError, match="out of time"):
        pool.submit(jobs.add, 1, b=2).result(WAIT_S)
