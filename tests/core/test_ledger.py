"""The ledger: who was given and did what, in what time."""

from __future__ import annotations

import pytest

from tracking.core import events as e
from tracking.core.items import Items
from tracking.core.ledger import Ledger, Pace, SlaveLine
from tracking.core.policy import Policy
from tracking.core.scheduler import Scheduler


def test_a_slave_s_jobs_items_and_seconds_are_summed() -> None:
    ledger = Ledger()
    account = ledger.account("snoopy_0", "snoopy")
    for now in (1.0, 3.0):
        ledger.given(account, now)
    ledger.done(account, 5, 1.5)
    ledger.done(account, 2, 0.5)
    assert ledger.snapshot() == (SlaveLine("snoopy_0", "snoopy", 2, 2, 7, 2.0, 3.0),)


def test_a_slave_that_replaces_another_goes_on_in_its_line() -> None:
    ledger = Ledger()
    ledger.given(ledger.account("a_0", "a"), 1.0)
    ledger.account("b", "b")
    ledger.given(ledger.account("a_0", "a"), 2.0)
    assert [(line.nickname, line.given, line.started_at) for line in ledger.snapshot()] == [
        ("a_0", 2, 2.0),
        ("b", 0, None),
    ]


def test_a_pace_moves_towards_new_measurements() -> None:
    pace = Pace()
    pace.learn(10, 1.0, 100)
    assert (pace.item_s, pace.job_s, pace.job_bytes, pace.largest_job) == (0.1, 1.0, 100, 10)
    pace.learn(1, 0.2, 100)
    assert pace.item_s == pytest.approx(0.13)
    assert pace.largest_job == 10
    for _ in range(50):
        pace.learn_item_s(0.5)
    assert pace.item_s == pytest.approx(0.5, rel=1e-3)


def test_a_pace_knows_how_far_jobs_were_from_what_was_expected_of_them() -> None:
    pace = Pace()
    assert pace.surprise == 1.0, "nothing is known"
    for _ in range(30):
        pace.learn(10, 1.0, 100)
    assert pace.surprise < 0.001
    pace.learn(10, 1.5, 100)
    assert pace.surprise == pytest.approx(0.15, rel=0.01)
    pace.learn(10, 500.0, 100)
    assert pace.surprise < 0.5, "one job that took however long is forgotten in time"


def test_what_a_running_job_tells_is_a_surprise_too() -> None:
    pace = Pace()
    for _ in range(30):
        pace.learn(20, 0.2, 100)
    pace.learn_item_s(0.1)
    assert pace.surprise == pytest.approx(0.3, rel=0.01)


def test_items_that_took_no_time_tell_nothing_of_the_next() -> None:
    pace = Pace()
    pace.learn(10, 0.0, 100)
    pace.learn(10, 0.0, 100)
    assert (pace.item_s, pace.surprise) == (0.0, 1.0)


def test_jobs_of_any_size_follow_a_pace_that_has_faded_to_nothing() -> None:
    pace = Pace()
    pace.learn(10, 1.0, 100)
    for _ in range(3000):
        pace.learn(10, 0.0, 100)
    assert Policy().size(pace.item_s, pace.largest_job, 1000, 2) == 160


def test_a_job_that_came_back_unbegun_was_never_given() -> None:
    scheduler = Scheduler(Items(50), Policy(chunk_size=1))
    scheduler.handle(e.SlaveReady(1, "a", "a_0"), 0.0)
    scheduler.handle(e.JobDone(1, 1, 0.01), 0.01)
    scheduler.handle(e.HostDisabled("a"), 0.5)
    given = scheduler.ledger.snapshot()[0].given
    assert len(scheduler.jobs_of_slave(1)) > 1
    scheduler.handle(e.JobReturned(scheduler.jobs_of_slave(1)[-1], 1), 1.0)
    assert scheduler.ledger.snapshot()[0].given == given - 1
