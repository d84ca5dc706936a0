"""The scheduler: giving out, failing, dying, timing out; each race as a list of events."""

from __future__ import annotations

import pytest

from tests.core.world import World
from tracking.core import commands as c
from tracking.core import events as e
from tracking.core.commands import Cause
from tracking.core.items import Items
from tracking.core.policy import Policy
from tracking.core.scheduler import Scheduler
from tracking.errors import InvalidTransition

ONE = Policy(chunk_size=1, redistribute=False)


def sent(commands: tuple[c.Command, ...]) -> list[tuple[int, list[int]]]:
    """(slave, positions) of each job that is sent."""
    return [(one.slave, list(one.positions)) for one in commands if isinstance(one, c.SendJob)]


def world(items: int, slaves: int = 1, **policy: object) -> World:
    """A world with slaves 1, 2, ... on one host, without redistribution unless asked for."""
    made = World(items, Policy(**{"chunk_size": 1, "redistribute": False, **policy}))  # type: ignore[arg-type]
    for _ in range(slaves):
        made.add_slave()
    return made


def given_up(made: World) -> dict[int, Cause]:
    return {position: command.cause for position, command in made.given_up.items()}


# ---- giving out


def test_each_slave_gets_a_job_and_the_next_one_when_it_has_done_it() -> None:
    scheduler = Scheduler(Items(5), Policy(chunk_size=2, redistribute=False))
    assert sent(scheduler.handle(e.SlaveReady(1, "a", "a_0"), 0.0)) == [(1, [0, 1])]
    assert sent(scheduler.handle(e.SlaveReady(2, "a", "a_1"), 0.0)) == [(2, [2, 3])]
    assert sent(scheduler.handle(e.JobDone(1, 1, 1.0), 1.0)) == [(1, [4])]
    assert scheduler.handle(e.JobDone(2, 2, 1.0), 1.0) == ()
    assert scheduler.handle(e.JobDone(3, 1, 1.0), 2.0) == (c.Finish(),)
    assert scheduler.is_finished


def test_nothing_to_do_is_finished_at_once_and_said_once() -> None:
    scheduler = Scheduler(Items(0), ONE)
    assert scheduler.handle(e.Ticked(), 0.0) == (c.Finish(),)
    assert scheduler.handle(e.SlaveReady(1, "a", "a"), 0.0) == ()


def test_items_finished_in_an_earlier_run_are_not_given_out() -> None:
    items = Items(4)
    items.finish((0, 2))
    scheduler = Scheduler(items, Policy(chunk_size=9))
    assert sent(scheduler.handle(e.SlaveReady(1, "a", "a"), 0.0)) == [(1, [1, 3])]


def test_short_jobs_are_queued_ahead_and_long_ones_are_not() -> None:
    short, long = world(100), world(100)
    short.done(short.slaves[1], seconds=0.0001)
    long.done(long.slaves[1], seconds=0.5)
    assert (len(short.slaves[1].jobs), len(long.slaves[1].jobs)) == (20, 1)


def test_an_open_ended_scheduler_finishes_only_when_it_is_closed() -> None:
    made = World(0, ONE, open_ended=True)
    slave = made.add_slave()
    assert sent(made.handle(e.ItemsAdded(1))) == [(1, [0])]
    made.done(slave)
    assert (made.finishes, made.scheduler.is_finished) == (0, False)
    made.handle(e.ItemsAdded(2))
    made.handle(e.ItemsClosed())
    made.finish()


def test_a_million_items_without_work_need_a_few_dozen_jobs() -> None:
    scheduler = Scheduler(Items(1_000_000), Policy())
    todo = [command for slave in (1, 2) for command in scheduler.handle(e.SlaveReady(slave, "a", f"a_{slave}"), 0.0)]
    now = 0.0
    for job in todo:  # grows while it is walked
        if isinstance(job, c.SendJob):
            now += 1e-7 * len(job.positions)
            todo += scheduler.handle(e.JobDone(job.job, job.slave, 1e-7 * len(job.positions)), now)
    assert isinstance(todo[-1], c.Finish)
    assert len(todo) < 60


# ---- hosts


def test_a_disabled_host_gets_nothing_more_and_what_it_does_counts() -> None:
    made = world(10)
    made.handle(e.HostDisabled("here"))
    made.done(made.slaves[1])
    assert (made.results[0], len(made.slaves[1].jobs)) == (1, 0)
    assert sent(made.handle(e.HostEnabled("here"))) == [(1, [1]), (1, [2])]


def test_unbegun_jobs_of_a_disabled_host_are_asked_back_and_go_elsewhere() -> None:
    made = world(100)
    made.done(made.slaves[1], seconds=0.01)
    held = list(made.slaves[1].jobs)
    assert made.handle(e.HostDisabled("here")) == (c.RecallJob(1, held[1]),)
    made.add_slave("there")
    made.deliver_order()
    made.done(made.slaves[2], seconds=1.0)
    assert list(made.positions[made.slaves[2].jobs[0]]) == list(made.positions[held[1]])


def test_a_retired_slave_gets_nothing_more() -> None:
    made = world(10, slaves=2)
    made.handle(e.SlaveRetired(1))
    made.done(made.slaves[1])
    assert not made.slaves[1].jobs
    made.finish()


def test_a_slow_host_gets_smaller_jobs_and_none_of_the_last() -> None:
    made = world(100, slaves=2, chunk_size=10)
    made.handle(e.HostSlowed("slow", 5.0))
    slow = made.add_slave("slow")
    assert list(made.positions[slow.jobs[0]]) == [20, 21]
    for _ in range(4):
        made.done(made.slaves[1], seconds=1.0)
        made.done(made.slaves[2], seconds=1.0)
    made.done(slow, seconds=1.0)
    assert not slow.jobs
    made.finish()


def test_a_slow_host_does_the_last_jobs_when_it_is_the_only_one_left() -> None:
    made = world(3, slaves=1)
    made.handle(e.HostSlowed("slow", 50.0))
    slow = made.add_slave("slow")
    assert not slow.jobs
    made.lose(made.slaves[1], on_purpose=True)
    assert slow.jobs
    made.finish()


# ---- items that raise


def test_an_item_that_raises_is_given_up_and_the_others_finish() -> None:
    made = world(3, chunk_size=3)
    made.done(made.slaves[1], failed=(1,))
    assert given_up(made) == {1: Cause.RAISED}
    made.verify_end()


def test_a_retry_goes_to_another_slave_after_all_others() -> None:
    made = world(3, slaves=2, retries=1)
    made.done(made.slaves[1], failed=(0,))
    made.done(made.slaves[1])
    assert not made.slaves[1].jobs, "it waits for another slave than the one that failed"
    made.done(made.slaves[2])
    assert list(made.positions[made.slaves[2].jobs[0]]) == [0]
    made.done(made.slaves[2], failed=(0,))
    assert made.given_up[0] == c.GiveUp(0, Cause.RAISED, 2)


def test_a_retry_goes_to_the_same_slave_when_there_is_no_other_or_it_does_not_come() -> None:
    alone, busy = world(1, retries=1), world(2, slaves=2, retries=1)
    alone.done(alone.slaves[1], failed=(0,))
    assert alone.slaves[1].jobs
    busy.done(busy.slaves[1], failed=(0,))
    assert busy.scheduler.next_wakeup() is not None
    assert not busy.slaves[1].jobs
    busy.tick(1.0)
    assert busy.slaves[1].jobs


def test_a_job_that_fails_as_a_whole_is_split_until_the_guilty_item_is_alone() -> None:
    made = world(100, chunk_size=100)
    while not made.finishes:
        slave = made.slaves[1]
        job = slave.jobs[0]
        if 57 in made.positions[job]:
            made.answer(e.JobFailed(job, slave.number, 0.01))
        else:
            made.done(slave)
    assert given_up(made) == {57: Cause.RAISED}
    made.verify_end()


def test_what_cannot_be_sent_is_found_and_given_up_without_another_try() -> None:
    made = world(3, chunk_size=3, retries=5)
    made.answer(e.JobFailed(1, 1, final=True))
    while not made.finishes:
        job = made.slaves[1].jobs[0]
        if 1 in made.positions[job]:
            made.answer(e.JobFailed(job, 1, final=True))
        else:
            made.done(made.slaves[1])
    assert given_up(made) == {1: Cause.UNSENDABLE}


def test_what_a_job_had_finished_before_it_failed_stays_finished() -> None:
    made = world(3, chunk_size=3)
    made.progress(made.slaves[1], (0, 1))
    made.answer(e.JobFailed(1, 1))
    assert given_up(made) == {2: Cause.RAISED}
    made.verify_end()


# ---- slaves that die


def test_the_items_of_a_dead_slave_go_one_by_one_to_others_with_nothing_behind_them() -> None:
    made = world(40, slaves=2, chunk_size=3)
    for _ in range(3):
        made.done(made.slaves[2], seconds=0.003)
    made.lose(made.slaves[1])
    suspects = []
    while len(suspects) < 3:
        slave = made.slaves[2]
        if list(made.positions[slave.jobs[0]]) in ([0], [1], [2]):
            assert len(slave.jobs) == 1
            suspects += made.positions[slave.jobs[0]]
        made.done(slave, seconds=0.003)
    assert suspects == [0, 1, 2]
    made.finish()


def test_an_item_that_always_kills_its_slave_is_given_up_and_all_others_finish() -> None:
    made = world(40, slaves=2, chunk_size=10)
    while not made.finishes:
        slave = next(slave for slave in made.slaves.values() if slave.jobs)
        if 13 in made.positions[slave.jobs[0]]:
            made.lose(slave)
            made.add_slave()
        else:
            made.done(slave)
    assert made.given_up == {13: c.GiveUp(13, Cause.KILLED_SLAVE, 3)}
    assert made.last_slave == 5, "one death in the chunk, two alone"


def test_without_a_limit_an_item_may_kill_any_number_of_slaves() -> None:
    made = world(1, max_deaths=None)
    for _ in range(10):
        made.lose(made.slaves[made.last_slave])
        made.add_slave()
    assert not made.given_up
    made.finish()


def test_jobs_that_a_dead_slave_had_not_begun_are_given_out_again_first_and_are_not_suspect() -> None:
    made = world(100)
    made.done(made.slaves[1], seconds=0.001)
    queued = [list(made.positions[job]) for job in made.slaves[1].jobs]
    assert queued == [[1], [2]]
    made.lose(made.slaves[1])
    new = made.add_slave()
    assert list(made.positions[new.jobs[0]]) == [51], "far from the suspect, to see whether the host works"
    made.done(new, seconds=0.001)
    assert [list(made.positions[job]) for job in new.jobs] == [[1]], "the suspect"
    made.done(new, seconds=0.001)
    assert [list(made.positions[job]) for job in new.jobs] == [[2], [3]]


def test_nobody_is_guilty_when_a_slave_is_ended_on_purpose_or_which_job_ran_is_unknown() -> None:
    for is_known, on_purpose in ((True, True), (False, False)):
        made = world(100, max_deaths=1)
        made.done(made.slaves[1], seconds=0.001)
        made.lose(made.slaves[1], is_known=is_known, on_purpose=on_purpose)
        assert not made.given_up
        made.finish()


def test_a_slave_that_holds_one_job_was_running_that() -> None:
    made = world(1, max_deaths=1)
    made.lose(made.slaves[1], is_known=False)
    assert given_up(made) == {0: Cause.KILLED_SLAVE}


def test_an_item_is_not_blamed_for_a_death_that_another_queued_job_may_have_caused() -> None:
    made = world(100, max_deaths=1)
    made.done(made.slaves[1], seconds=0.001)
    made.lose(made.slaves[1])
    assert not made.given_up


def test_the_loss_of_an_unknown_slave_is_no_news() -> None:
    made = world(1)
    assert made.handle(e.SlaveLost(99, "never came up")) == ()


# ---- late, double and impossible answers


def test_answers_of_jobs_that_are_gone_change_nothing() -> None:
    made = world(3)
    made.done(made.slaves[1], seconds=1.0)
    assert not made.scheduler.wanted(1)
    before = made.scheduler.ledger.snapshot()
    for event in (
        e.JobDone(1, 1, 1.0),
        e.JobFailed(1, 1),
        e.JobReturned(1, 1),
        e.JobProgressed(1, 1, (0,), 0.1),
    ):
        assert made.handle(event) == ()
    assert made.scheduler.ledger.snapshot() == before


def test_a_late_answer_of_a_lost_slave_is_not_wanted() -> None:
    made = world(2)
    made.lose(made.slaves[1])
    made.add_slave()
    assert not made.scheduler.wanted(1)
    made.handle(e.JobDone(1, 1, 1.0))
    made.finish()


@pytest.mark.parametrize(
    "event",
    [
        e.JobDone(99, 1, 1.0),
        e.JobDone(1, 2, 1.0),
        e.JobReturned(1, 1),
        e.JobDone(1, 1, 1.0, failed=(5,)),
        e.JobProgressed(1, 1, (4,), 1.0),
        e.SlaveReady(1, "here", "here_1"),
    ],
)
def test_what_cannot_have_happened_is_refused_and_changes_nothing(event: e.Event) -> None:
    made = world(6, slaves=2, chunk_size=3)
    with pytest.raises(InvalidTransition):
        made.handle(event)
    made.scheduler.check()
    made.finish()


def test_the_story_of_a_job_tells_what_happened_to_it() -> None:
    made = world(2)
    made.done(made.slaves[1])
    story = made.scheduler.story(1)
    assert "SendJob" in story[0]
    assert "JobDone" in story[1]
    assert not made.scheduler.story(99)


def test_the_story_is_carried_by_the_error() -> None:
    made = world(2)
    with pytest.raises(InvalidTransition, match="SendJob"):
        made.handle(e.JobReturned(1, 1))


def test_a_broken_state_is_found_by_check() -> None:
    made = world(2)
    made.scheduler.items.release((0,))
    with pytest.raises(AssertionError, match="item 0 is not started, but a job holds it"):
        made.scheduler.check()


# ---- time limits


def test_a_job_over_its_time_limit_ends_its_slave_and_gives_up_its_item() -> None:
    made = world(2, slaves=2, item_timeout_s=2.0)
    made.done(made.slaves[2])
    while not made.orders:
        wakeup = made.scheduler.next_wakeup()
        assert wakeup is not None
        assert wakeup < 2.4
        made.tick(wakeup - made.now)
    assert isinstance(made.orders[0], c.StopSlave)
    made.deliver_order()
    assert given_up(made) == {0: Cause.TIMEOUT}
    made.verify_end()


def test_a_job_of_several_items_has_so_many_times_as_long_and_is_split_then() -> None:
    made = world(3, chunk_size=3, item_timeout_s=2.0, items_report=False)
    made.tick(5.0)
    assert not made.orders
    made.tick(2.0)
    made.deliver_order()
    slave = made.add_slave()
    assert (list(made.positions[slave.jobs[0]]), made.given_up) == ([0], {})
    made.finish()


def test_progress_starts_the_clock_anew_for_the_rest() -> None:
    made = world(3, chunk_size=3, item_timeout_s=2.0, items_report=False)
    made.tick(5.0)
    made.progress(made.slaves[1], (0,))
    made.tick(3.5)
    assert not made.orders
    made.tick(1.0)
    assert made.orders


def test_the_time_of_a_queued_job_begins_when_the_one_before_it_has_ended() -> None:
    made = world(10, item_timeout_s=2.0)
    made.done(made.slaves[1], seconds=0.01)
    made.tick(1.9)
    made.done(made.slaves[1], seconds=0.01)
    made.tick(1.9)
    assert not made.orders
    made.tick(0.4)
    assert made.orders


def test_an_answer_that_comes_while_its_slave_is_being_ended_still_counts() -> None:
    made = world(1, item_timeout_s=1.0)
    made.tick(2.0)
    made.done(made.slaves[1])
    made.deliver_order()
    made.verify_end()
    assert not made.given_up


def test_jobs_behind_one_that_took_too_long_are_unharmed() -> None:
    made = world(10, item_timeout_s=1.0)
    made.done(made.slaves[1], seconds=0.01)
    made.tick(2.0)
    made.deliver_order()
    assert given_up(made) == {1: Cause.TIMEOUT}
    made.finish()
    assert len(made.results) == 9
