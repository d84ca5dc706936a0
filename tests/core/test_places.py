"""When slaves are replaced and hosts left out."""

from __future__ import annotations

import pytest

from tracking.core.places import HostRecord, LeaveOut, Replace


def dies(record: HostRecord, now: float = 0.0, *, did_jobs: bool = False) -> Replace | LeaveOut:
    return record.slave_died(now, "killed by SIGKILL", was_up=True, did_jobs=did_jobs)


def does_not_start(record: HostRecord) -> Replace | LeaveOut:
    return record.slave_died(0.0, "ended with exit status 1", was_up=False, did_jobs=False)


def delays(record: HostRecord, count: int) -> list[float]:
    decisions = [dies(record, now=float(n)) for n in range(count)]
    return [decision.delay_s for decision in decisions if isinstance(decision, Replace)]


def is_tried(decision: Replace | LeaveOut) -> bool:
    """The host is on probation."""
    return isinstance(decision, Replace) and decision.is_on_probation


def test_the_first_slave_that_dies_is_replaced_at_once() -> None:
    assert dies(HostRecord("node")) == Replace(0.0)


def test_a_slave_that_had_done_jobs_is_replaced_at_once_however_many_died_before() -> None:
    record = HostRecord("node", most_failures=None)
    delays(record, 8)
    assert dies(record, 9.0, did_jobs=True) == Replace(0.0)


def test_slaves_that_die_without_a_job_done_are_replaced_later_and_later() -> None:
    assert delays(HostRecord("node"), 6) == pytest.approx([0.0, 0.1, 0.2, 0.4, 0.8, 1.6])


def test_where_jobs_were_done_it_may_be_items_that_kill_and_no_replacement_waits_for_long() -> None:
    record = HostRecord("node", most_failures=None)
    dies(record, did_jobs=True)
    assert delays(record, 9)[2:] == pytest.approx([0.4, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5])
    assert delays(record, 3) == [10.0] * 3, "unless there is no end of it"


def test_no_replacement_waits_for_more_than_ten_seconds() -> None:
    assert max(delays(HostRecord("node", most_failures=None), 30)) == 10.0


def test_a_slave_is_replaced_also_after_thousands_of_deaths_in_a_moment() -> None:
    record = HostRecord("node", most_failures=None)
    for _ in range(5000):
        decision = dies(record)
    assert decision == Replace(10.0)


def test_a_host_on_which_as_many_died_as_allowed_is_left_out_with_the_reason() -> None:
    record = HostRecord("node", most_failures=3)
    assert [type(dies(record)) for _ in range(2)] == [Replace, Replace]
    decision = dies(record)
    assert isinstance(decision, LeaveOut)
    assert decision.host == "node"
    assert decision.reason == "3 slaves died there without a job done between them; the last was killed by SIGKILL"


def test_a_job_done_forgives_all_deaths_before_it() -> None:
    record = HostRecord("node", most_failures=3)
    for _ in range(10):
        assert delays(record, 2) == [0.0, pytest.approx(0.1)]
        record.job_was_done()


def test_a_death_counts_for_ten_minutes() -> None:
    record = HostRecord("node", most_failures=2)
    assert isinstance(dies(record, now=0.0), Replace)
    assert isinstance(dies(record, now=600.1), Replace)
    assert isinstance(dies(record, now=1200.0), LeaveOut)


def test_a_host_without_a_limit_is_never_left_out() -> None:
    assert len(delays(HostRecord("node", most_failures=None), 200)) == 200


def test_the_third_slave_in_a_row_that_ends_before_it_is_up_makes_its_host_be_left_out() -> None:
    record = HostRecord("node", most_failures=None)
    assert [does_not_start(record), does_not_start(record)] == [Replace(0.2), Replace(0.4)]
    decision = does_not_start(record)
    assert isinstance(decision, LeaveOut)
    assert decision.reason == "3 slaves in a row ended before they were up; the last ended with exit status 1"


def test_a_slave_that_comes_up_forgives_those_that_did_not() -> None:
    record = HostRecord("node")
    for _ in range(10):
        assert [does_not_start(record), does_not_start(record)] == [Replace(0.2), Replace(0.4)]
        record.slave_is_up()


def test_a_host_with_half_as_many_deaths_as_allowed_is_on_probation_and_says_why() -> None:
    record = HostRecord("node", most_failures=4)
    assert not is_tried(dies(record))
    decision = dies(record)
    assert is_tried(decision)
    assert record.is_on_probation
    assert decision.reason == "2 slaves died there without a job done between them; the last was killed by SIGKILL"
    assert is_tried(dies(record))
    assert isinstance(dies(record), LeaveOut)


def test_probation_ends_with_a_job_done_and_that_is_told_once() -> None:
    record = HostRecord("node", most_failures=4)
    assert not record.job_was_done()
    dies(record)
    assert not record.job_was_done(), "it was not on probation"
    dies(record), dies(record)
    assert [record.job_was_done(), record.job_was_done()] == [True, False]
    assert not record.is_on_probation


def test_probation_ends_when_the_deaths_are_long_ago() -> None:
    record = HostRecord("node", most_failures=4)
    dies(record), dies(record)
    assert not is_tried(dies(record, now=700.0))


@pytest.mark.parametrize("most_failures", [1, 2, 3])
def test_a_host_that_may_have_few_deaths_is_on_probation_from_the_first(most_failures: int) -> None:
    record = HostRecord("node", most_failures)
    assert isinstance(dies(record), LeaveOut) if most_failures == 1 else is_tried(dies(record))


def test_a_host_without_a_limit_is_never_on_probation() -> None:
    record = HostRecord("node", most_failures=None)
    assert not any(is_tried(dies(record)) for _ in range(100))


# ---- hosts that are lost


def is_lost(record: HostRecord, now: float, *, was_up: bool = False) -> Replace | LeaveOut:
    return record.host_was_lost(now, "could not be reached", was_up=was_up)


def tried_until_left_out(record: HostRecord) -> tuple[list[float], LeaveOut]:
    """The delays after each failed try, each made as soon as it may be, and the end."""
    now, delays = 1000.0, []
    decision = is_lost(record, now, was_up=True)
    while isinstance(decision, Replace):
        delays.append(decision.delay_s)
        now += decision.delay_s
        decision = is_lost(record, now)
    return delays, decision


def worked_once() -> HostRecord:
    record = HostRecord("node")
    record.slave_is_up()
    return record


def test_a_lost_host_is_tried_again_later_and_later_and_left_out_after_ten_minutes() -> None:
    delays, end = tried_until_left_out(worked_once())
    assert delays[:9] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert sum(delays) == pytest.approx(600.0)
    assert end.reason == "in 10 min no slave has come up there, 16 times tried; the last could not be reached"


def test_a_slave_that_comes_up_makes_its_host_as_good_as_before() -> None:
    record = worked_once()
    for round in range(5):
        assert is_lost(record, 500.0 * round, was_up=True) == Replace(0.5)
        assert is_lost(record, 500.0 * round + 400.0) == Replace(1.0)
        record.slave_is_up()


def test_a_loss_of_living_slaves_begins_the_time_anew() -> None:
    record = worked_once()
    is_lost(record, 0.0, was_up=True)
    assert isinstance(is_lost(record, 1200.0, was_up=True), Replace), "another of its slaves had lived on until then"
    assert isinstance(is_lost(record, 1201.0), Replace)


def test_a_host_that_never_had_a_slave_gets_three_tries() -> None:
    record = HostRecord("node")
    assert [is_lost(record, now) for now in (0.0, 1.0)] == [Replace(0.2), Replace(0.4)]
    assert isinstance(is_lost(record, 2.0), LeaveOut)


def test_lost_hosts_are_not_brought_to_probation() -> None:
    record = HostRecord("node", most_failures=2)
    record.slave_is_up()
    for now in range(20):
        is_lost(record, float(now), was_up=True)
    assert not record.is_on_probation
