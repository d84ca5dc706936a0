"""Who is ready at once, since it was ready for the same before: lists of events, then scripted slaves."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

import pytest

from tests.pool.helpers import Noting, Stage, stage
from tests.pool.test_vitals import Freezing, Seen, freeze, pass_beats
from tests.slave import jobs
from tracking.pool.client import NOTHING, SETUP
from tracking.pool.keeping import Keeping
from tracking.testing import Job, ScriptedFabric, ScriptedSlave
from tracking.wire import codec, mainmodule
from tracking.wire import messages as m
from tracking.wire.channel import Channel

CODE = mainmodule.encode_function(jobs.square, "function")
VALUES = codec.encode([3], "values")
KINDS = {
    m.SETUP: "SETUP", m.AGAIN: "AGAIN", m.JOB: "JOB", m.FORGET: "FORGET", m.CODE: "CODE",
}  # fmt: skip


# ---- lists of events


def told(*events: str) -> list[str]:
    """What a slave is told in the end of these events.

    "3 f": calculation 3 sets it up for function f; "3 f busy": while it is busy; "3 ready", "3 failed": it has said so;
    "3 defs": it was sent definitions; "3 over".
    """
    keeping = Keeping()
    said = []
    for event in events:
        number, what, *more = event.split()
        calculation = int(number)
        if what in ("ready", "failed"):
            keeping.is_through(calculation, is_ready=what == "ready")
        elif what == "defs":
            keeping.got_definitions(calculation)
        elif what == "over":
            said.append(f"forget {calculation}" + " some time" * keeping.leave(calculation))
        else:
            kept = keeping.set_up(calculation, what, is_idle=not more)
            said.append(f"load {what}" if kept is None else f"again {kept}")
    return said


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ("1 f, 1 ready, 2 f", "load f, again 1"),
        ("1 f, 1 ready, 1 over, 2 f, 2 over, 3 f", "load f, forget 1 some time, again 1, forget 2 some time, again 1"),
        ("1 f, 2 f", "load f, load f"),
        ("1 f, 1 failed, 2 f", "load f, load f"),
        ("1 f, 1 ready, 2 f busy, 3 f", "load f, load f, load f"),
        ("1 f, 1 ready, 2 g, 2 ready, 3 f, 3 ready, 4 f", "load f, load g, load f, again 3"),
        ("1 f, 1 ready, 2 g, 2 failed, 3 f", "load f, load g, load f"),
        # it may have loaded the other one although nobody waited for that
        ("1 f, 1 ready, 2 g, 2 over, 3 f", "load f, load g, forget 2 some time, load f"),
        ("1 f, 1 ready, 2 g, 2 over, 2 ready, 3 f", "load f, load g, forget 2 some time, load f"),
        ("1 f, 1 ready, 2 g, 2 over, 2 ready, 3 g", "load f, load g, forget 2 some time, again 2"),
        ("1 f, 1 ready, 1 defs, 1 over", "load f, forget 1"),
        ("7 over", "forget 7"),
    ],
)
def test_what_a_slave_is_told(events: str, expected: str) -> None:
    assert told(*events.split(", ")) == expected.split(", ")


# ---- scripted slaves


class NeverReady(ScriptedSlave):
    """What it loads does not end."""

    def on_setup(self, calculation: int) -> None:
        pass


def is_ready_at_once(it: Stage, client: Noting, key: Hashable | None = "square") -> bool:
    """Set the first slave up for this client."""
    it.turn_until(lambda: client.up)
    message = (m.SETUP, client.calculation, m.FUNCTION, CODE, None, None)
    return it.crew.set_up(client.up[0].tid, message, key)


def settle(it: Stage) -> None:
    it.crew.flush()
    it.settle()


def give_job(it: Stage, client: Noting, job: int) -> None:
    assert it.crew.send(client.up[0].tid, (m.JOB, client.calculation, job, VALUES))


def heard(it: Stage) -> list[str]:
    """What the first slave was told."""
    return [f"{KINDS[message[0]]} {message[1]}" for message in it.fabric.slaves[0].heard if message[0] in KINDS]


def run(it: Stage, calculation: int, key: Hashable | None = "square") -> bool:
    """A calculation of one job, from its beginning to its end; whether its slave was ready at once."""
    client = it.client(calculation)
    was_ready = is_ready_at_once(it, client, key)
    if not was_ready:
        settle(it)
        assert [message[0] for _, message in client.messages] == [m.READY]
    give_job(it, client, 1)
    settle(it)
    (result,) = [codec.decode(message[5]) for _, message in client.messages if message[0] == m.DONE]
    assert result == [9]
    it.crew.detach(client)
    it.settle()
    return was_ready


def test_a_slave_that_was_ready_for_the_same_is_ready_at_once_and_hears_of_it_with_its_first_job() -> None:
    with stage(ScriptedFabric()) as it:
        assert not run(it, 1)
        assert heard(it) == ["SETUP 1", "JOB 1"]  # to forget that may wait
        assert run(it, 2)
        assert run(it, 3)
        assert heard(it) == ["SETUP 1", "JOB 1", "FORGET 1", "AGAIN 2", "JOB 2", "FORGET 2", "AGAIN 3", "JOB 3"]


def test_what_differs_is_set_up_anew_and_is_what_is_kept_from_then_on() -> None:
    with stage(ScriptedFabric()) as it:
        assert [run(it, 1), run(it, 2, "other"), run(it, 3), run(it, 4), run(it, 5, "other")] == [
            False, False, False, True, False,
        ]  # fmt: skip


def test_what_is_not_to_be_kept_is_set_up_each_time_and_changes_nothing_in_what_is() -> None:
    with stage(ScriptedFabric()) as it:
        assert [run(it, 1), run(it, 2, None), run(it, 3, None), run(it, 4)] == [False, False, False, True]
        assert "FORGET 2" in heard(it)


def test_another_slave_at_the_same_place_has_kept_nothing() -> None:
    with stage(ScriptedFabric()) as it:
        assert not run(it, 1)
        it.fabric.slaves[0].die()
        it.turn_until(lambda: len(it.fabric.slaves) == 2)
        assert not run(it, 2)


def test_a_slave_that_has_a_job_is_asked_whether_it_is_ready() -> None:
    with stage(ScriptedFabric(*[lambda slave, job: None])) as it:
        one, other = it.client(1), it.client(2)
        assert not is_ready_at_once(it, one)
        settle(it)
        give_job(it, one, 1)
        settle(it)
        assert not is_ready_at_once(it, other)


def test_a_slave_that_is_being_set_up_is_asked_whether_it_is_ready() -> None:
    with stage(ScriptedFabric(slave=NeverReady)) as it:
        one, other = it.client(1), it.client(2)
        assert not is_ready_at_once(it, one)
        settle(it)
        assert not is_ready_at_once(it, other)


def test_a_slave_that_does_not_answer_is_asked_whether_it_is_ready_since_nobody_else_would_get_its_jobs() -> None:
    with stage(Seen(slave=Freezing), ("here", "here"), host_failures=1) as it:
        assert not run(it, 1)
        it.fabric.slaves[1].die()  # and its host is left out: nobody can stand in for the other
        freeze(it.fabric.slaves[0])
        client = it.client(2)
        pass_beats(it, 5)
        assert client.heard_of == [("here_0", True)]
        it.crew.detach(client)
        assert not is_ready_at_once(it, it.client(3))


class ReadyLate(ScriptedSlave):
    """It loads the function of calculation 2 until that is over."""

    def on_setup(self, calculation: int) -> None:
        if calculation != 2:
            self.say_ready(calculation)


def test_a_slave_that_loads_what_is_over_by_then_is_not_asked_for_what_it_has_no_more() -> None:
    with stage(ScriptedFabric(slave=ReadyLate)) as it:
        assert not run(it, 1)
        other = it.client(2)
        assert not is_ready_at_once(it, other, "other")
        settle(it)
        it.crew.detach(other)
        it.settle()
        it.fabric.slaves[0].say_ready(2)
        it.settle()
        assert not run(it, 3)
        assert run(it, 4)


def test_a_setup_that_failed_is_not_kept() -> None:
    class Failing(ScriptedSlave):
        def on_setup(self, calculation: int) -> None:
            self.fail_setup(calculation, OSError("no such directory"))

    with stage(ScriptedFabric(slave=Failing)) as it:
        for calculation in (1, 2):
            client = it.client(calculation)
            assert not is_ready_at_once(it, client)
            settle(it)
            assert [message[0] for _, message in client.messages] == [m.SETUP_FAILED]
            it.crew.detach(client)
            it.settle()


def test_a_slave_that_was_sent_definitions_forgets_them_soon() -> None:
    with stage(ScriptedFabric()) as it:
        client = it.client(1)
        is_ready_at_once(it, client)
        it.crew.send(client.up[0].tid, (m.CODE, 1, CODE))
        settle(it)
        it.crew.detach(client)
        it.settle()
        assert heard(it) == ["SETUP 1", "CODE 1", "FORGET 1"]


def test_of_a_slave_that_was_ready_at_once_its_job_is_to_blame() -> None:
    def die(slave: ScriptedSlave, job: Job) -> None:
        slave.die() if job.calculation == 2 else slave.finish(job)

    with stage(ScriptedFabric(*[die] * 2)) as it:
        assert not run(it, 1)
        client = it.client(2)
        assert is_ready_at_once(it, client)
        give_job(it, client, 7)
        settle(it)
        it.turn_until(lambda: client.lost)
        assert client.lost[0][2] == ((2, 7),)


class Deaf(ScriptedSlave):
    """It reads nothing."""

    def watched(self) -> Iterable[tuple[Channel, Callable[[], None]]]:
        return ()


def test_a_job_that_its_slave_has_not_even_read_is_not_what_it_died_of() -> None:
    with stage(ScriptedFabric(slave=Deaf)) as it:
        client = it.client(2)
        it.turn_until(lambda: client.up)
        give_job(it, client, 7)
        settle(it)
        it.fabric.slaves[0].die()
        it.turn_until(lambda: client.lost)
        assert client.lost[0][2] == (NOTHING, (2, 7))


def test_of_jobs_that_were_sent_one_after_the_other_the_first_may_have_been_begun_though_not_all_were_read() -> None:
    with stage(ScriptedFabric(slave=Deaf)) as it:
        client = it.client(2)
        it.turn_until(lambda: client.up)
        for job in (7, 8):
            give_job(it, client, job)
            settle(it)
        it.fabric.slaves[0].die()
        it.turn_until(lambda: client.lost)
        assert client.lost[0][2] == ((2, 7), (2, 8))


@pytest.mark.parametrize("is_light", [True, False])
def test_a_slave_that_dies_while_it_is_set_up_died_of_that(is_light: bool) -> None:
    with stage(ScriptedFabric(slave=NeverReady)) as it:
        client = it.client(1)
        assert not is_ready_at_once(it, client, "square" if is_light else None)
        settle(it)
        it.fabric.slaves[0].die()
        it.turn_until(lambda: client.lost)
        assert client.lost[0][2] == ((1, SETUP),)
