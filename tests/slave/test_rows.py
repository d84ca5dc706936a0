"""Small jobs that come together in one message: each is done, timed, answered and handed back by itself."""

from __future__ import annotations

import pickle
from typing import Any

from tests.slave.puppet import CALCULATION, Gate, Puppet
from tracking.wire import codec
from tracking.wire import messages as m


def give_row(worker: Puppet, calls: dict[int, tuple[Any, ...]]) -> None:
    """Jobs of one item each: {number: item}."""
    worker.send((m.ROW, CALCULATION, list(calls), [pickle.dumps([item]) for item in calls.values()]))


def results_of(worker: Puppet, count: int) -> dict[int, Any]:
    """{job: result} of so many jobs that went well."""
    found: dict[int, Any] = {}
    while len(found) < count:
        _, calculation, numbers, seconds, pickles = worker.expect(m.ROW_DONE)
        assert calculation == CALCULATION
        assert len(numbers) == len(seconds) == len(pickles)
        assert min(seconds) >= 0.0
        found |= {number: pickle.loads(data)[0] for number, data in zip(numbers, pickles, strict=True)}
    return found


def test_a_row_of_jobs_is_answered_in_rows(worker: Puppet) -> None:
    give_row(worker, {job: ("give", job) for job in range(1, 51)})
    assert results_of(worker, 50) == {job: job for job in range(1, 51)}


def test_a_row_needs_far_fewer_messages_than_it_has_jobs(worker: Puppet) -> None:
    give_row(worker, {job: ("give", job) for job in range(1, 201)})
    answered = messages = 0
    while answered < 200:
        answered += len(worker.expect(m.ROW_DONE)[2])
        messages += 1
    assert messages <= 100


def test_results_of_a_row_do_not_wait_for_a_long_job_in_it(worker: Puppet, gate: Gate) -> None:
    give_row(worker, {1: ("give", 1), 2: ("give", 2), 3: ("read", gate.path), 4: ("give", 4)})
    assert results_of(worker, 2) == {1: 1, 2: 2}
    gate.open()
    assert results_of(worker, 2) == {3: "opened", 4: 4}


def test_a_job_of_a_row_that_was_not_begun_is_handed_back(worker: Puppet, gate: Gate) -> None:
    give_row(worker, {1: ("read", gate.path), 2: ("give", 2), 3: ("give", 3)})
    gate.wait_until_reached()
    worker.tell((m.RECALL, CALCULATION, 2))
    assert worker.expect(m.RETURNED) == (m.RETURNED, CALCULATION, 2)
    gate.open()
    assert results_of(worker, 2) == {1: "opened", 3: 3}


def test_an_item_of_a_row_that_raises_is_answered_by_itself(worker: Puppet) -> None:
    give_row(worker, {1: ("give", 1), 2: ("no such thing",), 3: ("give", 3)})
    bad = worker.expect(m.DONE, m.FAILED)
    assert bad[2] == 2
    assert results_of(worker, 2) == {1: 1, 3: 3}


def test_a_value_of_a_row_that_cannot_be_made_fails_its_job_only(worker: Puppet) -> None:
    worker.send((m.ROW, CALCULATION, [1, 2], [b"cno_such_module\nx\n.", pickle.dumps([("give", 2)])]))
    assert worker.expect(m.FAILED)[2] == 1
    assert results_of(worker, 1) == {2: 2}


def test_what_comes_behind_a_row_is_done_behind_it(worker: Puppet) -> None:
    row = m.ROW, CALCULATION, [1, 2], [pickle.dumps([("give", 1)]), pickle.dumps([("give", 2)])]
    worker.send(row, (m.JOB, CALCULATION, 3, codec.encode([("give", 3)], "items")), (m.FORGET, CALCULATION))
    assert results_of(worker, 3) == {1: 1, 2: 2, 3: 3}


def test_a_large_result_of_a_row_travels_by_itself(worker: Puppet) -> None:
    give_row(worker, {1: ("give", 1), 2: ("give", bytes(1_000_000)), 3: ("give", 3)})
    done = worker.expect(m.DONE)
    assert done[2] == 2
    assert codec.size_of(done[5]) > 1_000_000
    assert results_of(worker, 2) == {1: 1, 3: 3}
