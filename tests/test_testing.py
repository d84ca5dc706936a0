"""The public fakes do what real slaves do, and what no real slave does on order."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.test_layers import loaded_after
from tracking import CalculationError, ItemKilledSlave, JobSlave, NoSlavesError, TrackingJobMaster
from tracking.fabrics.base import Fabric, SlaveEnded, SlaveLines, SlaveSpec
from tracking.testing import Clock, Job, ScriptedFabric, ScriptedSlave, dies, done, raises
from tracking.wire import codec
from tracking.wire import messages as m

DATA = {"a": 1, "b": 2, "c": 3}


class Doubling(JobSlave):
    def go(self, jobs: dict[Any, int]) -> dict[Any, int]:
        return {id: 2 * value for id, value in jobs.items()}


def own_pid(value: int) -> int:
    return os.getpid()


def master(fabric: Fabric, **options: Any) -> TrackingJobMaster:
    """A quiet master with two slaves, one item a job."""
    hosts = ["localhost", "localhost"]
    return TrackingJobMaster(DATA, chunk_size=1, hosts=hosts, verbose=0, fabric=fabric, **options)


@pytest.fixture
def fabric() -> Iterator[ScriptedFabric]:
    fabric = ScriptedFabric()
    yield fabric
    fabric.close()


# ---- the clock


def test_the_clock_goes_on_when_told_to() -> None:
    clock = Clock(10.0)
    assert clock() == clock() == 10.0
    clock.step(0.5)
    assert clock() == 10.5


# ---- under masters


def test_a_function_is_called_and_in_this_process() -> None:
    fabric = ScriptedFabric()
    assert master(fabric, function=own_pid).calculateResult() == dict.fromkeys(DATA, os.getpid())
    assert [slave.nickname for slave in fabric.slaves] == ["localhost_0", "localhost_1"]


def test_the_go_of_a_slave_class_is_called() -> None:
    assert master(ScriptedFabric(), slave_script=Doubling).calculateResult() == {"a": 2, "b": 4, "c": 6}


def test_an_error_of_the_function_is_that_of_the_item() -> None:
    with pytest.raises(CalculationError) as caught:
        master(ScriptedFabric(), function=len).calculateResult()
    assert set(caught.value.errors) == set(DATA)


def test_a_script_says_what_is_done_with_each_job() -> None:
    fabric = ScriptedFabric(done, raises(ValueError("no")), dies, dies)
    with pytest.raises(CalculationError) as caught:
        master(fabric, function=abs, max_deaths=1, redistribute=0).calculateResult()
    assert len(caught.value.result) + len(caught.value.errors) == 3
    assert any(isinstance(error, ItemKilledSlave) for error in caught.value.errors.values())


def test_results_may_be_made_up() -> None:
    def lies(slave: ScriptedSlave, job: Job) -> None:
        slave.finish(job, [0 for _ in job.values])

    assert master(ScriptedFabric(lies, lies, lies), function=abs).calculateResult() == dict.fromkeys(DATA, 0)


def test_slaves_that_never_come_up_are_an_error_of_the_master() -> None:
    class Unborn(ScriptedSlave):
        def on_start(self) -> None:
            self.die("ended with exit status 1")

    with pytest.raises(NoSlavesError, match="exit status 1"):
        master(ScriptedFabric(slave=Unborn), function=abs).calculateResult()


def test_users_messages_are_heard() -> None:
    class Listening(ScriptedSlave):
        def on_message(self, calculation: int, sender: int, tag: object, values: object) -> None:
            told.append((tag, values))

    class Telling(TrackingJobMaster):
        def initializationDone(self, slave_tid: int) -> None:
            self.send(slave_tid, "hello", (1, 2))
            self.send(slave_tid, "again")

    told: list[object] = []
    fabric = ScriptedFabric(slave=Listening)
    teller = Telling(DATA, function=abs, hosts=["localhost"], verbose=0, fabric=fabric)
    assert teller.calculateResult() == DATA
    assert told == [("hello", (1, 2)), ("again", None)]


def test_pings_are_answered_by_the_living() -> None:
    class Pinging(TrackingJobMaster):
        def initializationDone(self, slave_tid: int) -> None:
            answers.append(self.ping(self.nicknameFromTID(slave_tid)))

    answers: list[int] = []
    fabric = ScriptedFabric()
    Pinging(DATA, function=abs, hosts=["localhost"], verbose=0, fabric=fabric).calculateResult()
    assert answers == [1]


# ---- as a fabric


def test_it_is_a_fabric(fabric: ScriptedFabric) -> None:
    assert isinstance(fabric, Fabric)
    assert fabric.poll() == []
    assert list(fabric.descriptors()) == []
    fabric.stop(5)


def test_its_slaves_greet_and_end(fabric: ScriptedFabric) -> None:
    lines = fabric.start(SlaveSpec(5, "here_0", "here"))
    assert lines.line.receive() == [(m.HELLO, 0, m.PROTOCOL_VERSION, 0)]
    fabric.stop(5)
    assert fabric.poll() == [SlaveEnded(5, "killed by SIGKILL")]
    assert fabric.poll() == []
    with pytest.raises(EOFError):
        lines.line.receive()
    fabric.stop(5)
    close(lines)


def test_what_a_slave_hears_is_kept(fabric: ScriptedFabric) -> None:
    lines = fabric.start(SlaveSpec(5, "here_0", "here"))
    lines.line.send((m.FORGET, 7))
    fabric.poll()
    assert fabric.slaves[0].heard == [(m.FORGET, 7)]
    lines.line.send((m.STOP, 0))
    assert fabric.poll() == [SlaveEnded(5, "ended with exit status 0")]
    close(lines)


def test_a_slave_whose_master_lets_go_ends_in_silence(fabric: ScriptedFabric) -> None:
    close(fabric.start(SlaveSpec(5, "here_0", "here")))
    assert fabric.poll() == []
    assert not fabric.slaves[0].is_alive


def test_the_dead_do_nothing(fabric: ScriptedFabric) -> None:
    lines = fabric.start(SlaveSpec(5, "here_0", "here"))
    slave = fabric.slaves[0]
    slave.die()
    slave.die()
    slave.print("boo")
    slave.finish(Job(1, 1, [1]), [2])
    slave.cut_lines()
    assert fabric.poll() == [SlaveEnded(5, "killed by SIGKILL")]
    close(lines)


def test_a_slave_answers_a_beat(fabric: ScriptedFabric) -> None:
    lines = fabric.start(SlaveSpec(5, "here_0", "here"))
    lines.control.send((m.BEAT, 0))
    fabric.poll()
    assert [message[0] for message in lines.line.receive()] == [m.HELLO, m.ALIVE]
    close(lines)


def test_a_slave_says_what_the_test_says_of_a_job_that_goes_on_and_of_its_memory(fabric: ScriptedFabric) -> None:
    lines = fabric.start(SlaveSpec(5, "here_0", "here"))
    slave = fabric.slaves[0]
    job = Job(1, 7, [1, 2, 3])
    slave.send_part(job, [1, None], failed={1: ValueError("no")}, running_s=0.5)
    slave.finish(job, [3], first=2)
    slave.say_full(1000)
    _, part, rest, full = lines.line.receive()
    assert (part[0], part[4], codec.decode(part[5]), part[6][1][1], part[7]) == (
        m.PART, 0, [1, None], "ValueError: no", 0.5
    )  # fmt: skip
    assert (rest[0], rest[4], codec.decode(rest[5])) == (m.DONE, 2, [3])
    assert full == (m.FULL, 0, 1000)
    close(lines)


def test_a_slave_script_is_not_run(fabric: ScriptedFabric) -> None:
    lines = fabric.start(SlaveSpec(5, "here_0", "here"))
    lines.line.send((m.SETUP, 1, m.SCRIPT, ("slave.py", b""), None, None))
    fabric.poll()
    slave = fabric.slaves[0]
    slave.finish(Job(1, 1, [1]))
    assert "runs no slave script" in str(lines.line.receive())
    close(lines)


def close(lines: SlaveLines) -> None:
    """Let go of a slave, as a crew does."""
    assert lines.output is not None
    lines.line.close()
    lines.control.close()
    os.close(lines.output)


def test_only_the_contracts_need_pytest() -> None:
    assert not loaded_after("import tracking.testing") & {"pytest", "cloudpickle"}
    assert "pytest" in loaded_after("import tracking.testing.contracts")
