"""A slave that is asked for what it has kept, from its master's end of the lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.slave import jobs
from tests.slave.puppet import CALCULATION, Gate, Puppet, wait_for_end
from tracking.wire import codec
from tracking.wire import messages as m

NEXT = CALCULATION + 1


@pytest.fixture
def keeper(puppet: Puppet) -> Puppet:
    """A slave with a function that does what its items say, which it has kept."""
    assert puppet.set_up(jobs.obey, keep=True)[0] == m.READY
    return puppet


def again(number: int = NEXT, kept: int = CALCULATION) -> tuple[int, int, int]:
    return m.AGAIN, number, kept


def job(number: int, item: object, calculation: int = NEXT) -> tuple[object, ...]:
    return m.JOB, calculation, number, codec.encode([item], "items")


def result_of(puppet: Puppet) -> object:
    done = puppet.expect(m.DONE, m.FAILED)
    assert done[:2] == (m.DONE, NEXT), done
    assert not done[6], done
    (result,) = codec.decode(done[5])  # type: ignore[misc]
    return result


def test_jobs_may_come_together_with_what_makes_them_possible(keeper: Puppet) -> None:
    keeper.send((m.FORGET, CALCULATION), again(), job(1, ("give", 7)))
    assert result_of(keeper) == 7
    assert [message[0] for message in keeper.came] == [m.HELLO]  # no second READY


def test_what_was_kept_may_be_asked_for_any_number_of_times(keeper: Puppet) -> None:
    for number in range(3):
        keeper.send(again(), job(number, ("give", number)), (m.FORGET, NEXT))
        assert result_of(keeper) == number


def test_what_an_item_has_changed_is_set_right(keeper: Puppet, tmp_path: Path) -> None:
    before: Any = keeper.do([("describe",)])[0][0]
    keeper.do([("move", str(tmp_path))], job=2)
    assert keeper.do([("describe",)], job=3)[0][0]["directory"] == str(tmp_path)
    keeper.send(again(), job(1, ("describe",)))
    after: Any = result_of(keeper)
    assert (after["sys.path"], after["directory"]) == (before["sys.path"], before["directory"])


def test_a_function_that_an_item_has_changed_is_what_its_name_means_now(keeper: Puppet) -> None:
    keeper.do([("be_changed", "new")])
    keeper.send(again(), job(1, ("give", "old")))
    assert result_of(keeper) == "new"


def test_definitions_of_the_calculation_before_are_not_those_of_the_next(keeper: Puppet) -> None:
    keeper.send((m.CODE, CALCULATION, codec.Payload(b"cno_such_module\nx\n.")), again(), job(1, ("give", 7)))
    assert result_of(keeper) == 7


def test_a_recall_that_overtakes_its_calculation_holds(keeper: Puppet, gate: Gate) -> None:
    keeper.give(1, [("read", gate.path)])
    gate.wait_until_reached()
    keeper.send(again(), job(5, ("give", 5)), job(6, ("give", 6)))
    keeper.tell((m.RECALL, NEXT, 5), (m.PING, 0, 2, 99))
    keeper.expect(m.PONG)  # it was heard
    gate.open()
    keeper.answer(1)
    assert keeper.expect(m.RETURNED) == (m.RETURNED, NEXT, 5)
    assert result_of(keeper) == 6


def test_a_slave_that_cannot_be_made_ready_again_says_why_and_ends_and_no_item_is_to_blame(
    puppet: Puppet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there"
    there.mkdir()
    monkeypatch.chdir(there)
    assert puppet.set_up(jobs.obey, keep=True)[0] == m.READY
    monkeypatch.chdir(tmp_path)
    pid = puppet.expect(m.HELLO)[3]
    puppet.do([("move", str(tmp_path))])
    there.rmdir()
    puppet.send(again(), job(1, ("give", 7)))
    assert "No such file or directory" in puppet.expect(m.QUITS)[2]
    wait_for_end(pid)


def test_what_was_never_kept_makes_no_sense(worker: Puppet) -> None:
    pid = worker.expect(m.HELLO)[3]
    worker.send(again())
    worker.read_output(lambda text: "what was sent for calculation 77 was not kept" in text)
    wait_for_end(pid)
