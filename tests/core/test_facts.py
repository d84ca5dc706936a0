"""What is told to those who ask why: the story of an item, and what a calculation waits for."""

from __future__ import annotations

import pytest

from tests.core.test_scheduler import world
from tests.core.world import World
from tracking.core import events as e
from tracking.core.facts import FactKind
from tracking.core.story import _LENGTH


def kinds(made: World, position: int) -> list[FactKind]:
    facts = made.scheduler.story_of_item(position)
    assert [fact.time_s for fact in facts] == sorted(fact.time_s for fact in facts)
    return [fact.kind for fact in facts]


def test_the_story_of_an_item_that_went_well() -> None:
    made = world(2)
    made.done(made.slaves[1])
    given, finished = made.scheduler.story_of_item(0)
    assert (given.kind, given.slave, given.nickname, given.job, given.items) == ("given", 1, "here_1", 1, 1)
    assert (finished.kind, finished.slave, finished.job) == ("finished", 1, 1)
    assert finished.time_s > given.time_s


def test_an_item_that_was_never_given_out_has_no_story() -> None:
    assert world(2).scheduler.story_of_item(1) == ()


def test_the_story_of_an_item_that_kills_its_slave() -> None:
    made = world(3, chunk_size=3)
    while not made.given_up:
        made.lose(made.slaves[made.last_slave])
        made.add_slave()
    assert kinds(made, 0) == ["given", "lost", "given", "lost", "given", "lost", "given up"]
    facts = made.scheduler.story_of_item(0)
    assert [fact.items for fact in facts] == [3, 3, 1, 1, 1, 1, 0]
    assert [fact.words for fact in facts if fact.words] == ["killed", "killed", "killed", "killed its slave"]
    assert facts[1].nickname == "here_1", "though it is gone"


def test_the_story_of_an_item_that_raises_and_is_tried_again() -> None:
    made = world(1, retries=1)
    made.done(made.slaves[1], failed=(0,))
    made.done(made.slaves[1])
    assert kinds(made, 0) == ["given", "raised", "given", "finished"]


def test_the_story_of_an_item_that_takes_too_long() -> None:
    made = world(3, chunk_size=3, item_timeout_s=2.0)
    made.report(made.slaves[1], 1, running_s=0.3)
    made.tick(2.5)
    made.deliver_order()
    assert kinds(made, 0) == ["given", "finished"]
    assert kinds(made, 1) == ["given", "running", "stopped", "lost", "given up"]
    facts = made.scheduler.story_of_item(1)
    assert facts[2].words == "an item took longer than 2 s"
    assert facts[-1].words == "took too long"


def test_the_story_of_an_item_on_a_silent_slave() -> None:
    made = world(1, slaves=2, redistribute=True)
    made.fall_silent(made.slaves[1])
    made.be_heard(made.slaves[1])
    made.done(made.slaves[2])
    made.answer(e.JobDone(1, 1, 1.0))
    assert kinds(made, 0) == ["given", "silent", "given", "heard", "finished", "cancelled", "late"]


def test_a_job_whose_giving_out_is_forgotten_but_that_still_runs_is_told() -> None:
    made = world(1)
    for _ in range(_LENGTH):
        made.scheduler.handle(e.Ticked(), made.now)
    assert kinds(made, 0) == ["given"]


def test_what_a_calculation_waits_for_while_all_is_well() -> None:
    made = world(3, slaves=2, chunk_size=2)
    facts = made.scheduler.waiting_for(made.now + 1.0)
    assert (facts.not_started, facts.active, facts.finished, facts.given_up) == (0, 3, 0, 0)
    assert (facts.slaves, facts.usable, facts.idle, facts.silent) == (2, 2, 0, 0)
    assert facts.longest is not None
    assert facts.longest.job == 1
    assert facts.longest.running_s == pytest.approx(1.01)
    assert facts.longest.expected_s is None


def test_the_longest_running_job_is_told_with_its_item_and_what_was_expected() -> None:
    made = world(7, chunk_size=3)
    made.done(made.slaves[1], seconds=3.0)
    made.report(made.slaves[1], 1, running_s=0.0)
    facts = made.scheduler.waiting_for(made.now + 20.0)
    assert facts.longest is not None
    assert (facts.longest.nickname, facts.longest.host, facts.longest.left, facts.longest.item) == (
        "here_1", "here", 2, 4
    )
    assert facts.longest.running_s == pytest.approx(20.0)
    assert facts.longest.given_s > facts.longest.running_s
    assert 0.1 < (facts.longest.expected_s or 0.0) < 3.0


def test_without_slaves_it_is_told_why() -> None:
    made = world(4, slaves=3)
    made.handle(e.SlaveRetired(1))
    made.done(made.slaves[1])
    made.fall_silent(made.slaves[2])
    made.handle(e.HostDisabled("here"))
    facts = made.scheduler.waiting_for(made.now)
    assert (facts.slaves, facts.usable, facts.retired, facts.silent) == (3, 0, 1, 1)
    assert facts.ending == 1, "without redistribution a silent slave is ended"
    assert facts.disabled_hosts == ("here",)


def test_items_that_wait_are_told_by_their_kind() -> None:
    made = world(8, slaves=2, chunk_size=4, retries=1)
    made.done(made.slaves[2], failed=(5,))
    made.lose(made.slaves[1])
    facts = made.scheduler.waiting_for(made.now)
    assert (facts.suspects, facts.again, facts.retries, facts.not_started) == (3, 0, 1, 4)
    assert not facts.is_open_ended


def test_a_retry_that_waits_for_another_slave_is_told() -> None:
    made = world(2, slaves=2, retries=1)
    made.done(made.slaves[1], failed=(0,))
    facts = made.scheduler.waiting_for(made.now)
    assert facts.retry_at == pytest.approx(made.now + 1.0)
    assert made.scheduler.waiting_for(made.now + 2.0).retry_at is None
