"""Slaves are killed, stopped and continued 20 times a second: every result is right, and there once."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import as_completed
from typing import Any

import pytest

from tests.chaos.storm import Storm
from tests.chaos.work import Answers, Value, answer, answer_slowly
from tracking import SlavePool, TrackingJobMaster

SLAVES = 4
SHORT_S = 1.0
SOON_S = 0.3  # in a short storm those that are stopped are found sooner
LONG_S = 60.0
LENGTHS = [SHORT_S, pytest.param(LONG_S, marks=[pytest.mark.slow, pytest.mark.timeout(240)])]


def new_pool(seconds: float, **options: Any) -> SlavePool:
    """One for a storm of that length, which never gives up; used in a block, so that a test that hangs ends it."""
    options = ({"heartbeat": SOON_S} if seconds == SHORT_S else {}) | options
    return SlavePool(SLAVES, max_deaths=None, host_failures=None, **options)


def master_of(pool: SlavePool, data: dict[int, Value], **options: Any) -> TrackingJobMaster:
    options = {"function": answer_slowly} | options
    return TrackingJobMaster(data, verbose=0, pool=pool, max_deaths=None, **options)


def in_a_storm(seconds: float, n_items: int, of_slaves: dict[str, Any] | None = None, **options: Any) -> int:
    """Calculations one after the other until the storm is over; how many."""
    n_rounds = 0
    with new_pool(seconds, **(of_slaves or {})) as pool, Storm(lambda: pool.pids.values(), seconds) as storm:
        while not storm.is_over:
            data = {number: (n_rounds, number) for number in range(n_items)}
            came = list(master_of(pool, data, **options))
            assert Counter(id for id, _ in came) == Counter(list(data)), "an item is missing, or there twice"
            assert dict(came) == {id: answer(value) for id, value in data.items()}
            n_rounds += 1
    return n_rounds


@pytest.mark.parametrize("seconds", LENGTHS)
def test_every_result_is_right_and_there_once(seconds: float) -> None:
    assert in_a_storm(seconds, 1000)


@pytest.mark.parametrize("redistribute", [0, 1, "always"])
def test_every_result_is_right_whether_copies_are_made_or_not(redistribute: Any) -> None:
    assert in_a_storm(SHORT_S, 300, redistribute=redistribute, chunk_size=1)


def test_every_result_is_right_in_chunks_of_measured_size() -> None:
    assert in_a_storm(SHORT_S, 500, chunk_size="auto")


@pytest.mark.parametrize("seconds", LENGTHS)
def test_every_result_of_a_slave_class_is_right(seconds: float) -> None:
    assert in_a_storm(seconds, 1000, function=None, slave_script=Answers, chunk_size=10)


@pytest.mark.parametrize("seconds", LENGTHS)
def test_every_submitted_call_is_answered_rightly(seconds: float) -> None:
    n_rounds = 0
    with new_pool(seconds) as pool, Storm(lambda: pool.pids.values(), seconds) as storm:
        while not storm.is_over:
            futures = {pool.submit(answer_slowly, (n_rounds, number)): number for number in range(500)}
            for future in as_completed(futures):
                assert future.result() == answer((n_rounds, futures[future]))
            n_rounds += 1
    assert n_rounds


@pytest.mark.slow
@pytest.mark.parametrize(
    "of_slaves", [{"max_jobs": 5}, {"memory_limit": "1GB"}, {"heartbeat": 0.1, "silence_timeout": 0.3}], ids=str
)
def test_every_result_is_right_whatever_else_ends_or_asks_slaves(of_slaves: dict[str, Any]) -> None:
    assert in_a_storm(8.0, 500, of_slaves)


@pytest.mark.slow
def test_no_item_is_blamed_by_its_time_limit_for_a_slave_that_was_stopped() -> None:
    assert in_a_storm(8.0, 500, item_timeout=1)
