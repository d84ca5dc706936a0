"""A master tells what goes on in it, why nothing does, and the story of each item."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.master.helpers import master_of, wait_until
from tests.master.work import fail_on_odd
from tracking import InputError
from tracking.testing import Job, ScriptedFabric, ScriptedSlave, dies, done, silent


def scripted(*reactions: Any, **options: Any) -> Any:
    return master_of(fabric=ScriptedFabric(*reactions), function=str, **options)


def test_before_the_start_nothing_has_begun() -> None:
    assert master_of(3).why().startswith("nothing happens: it has not begun (start() begins it)\n0 of 3 items done")


def test_at_the_end_all_is_told(tmp_path: Path) -> None:
    master = master_of({1: 2, "b": 4}, run_file=tmp_path / "it.run")
    master.calculateResult()
    assert "all items are done" in master.why()
    assert "item 'b' (2 of 2) is finished: its result came from localhost" in master.why("b")
    assert repr(master.why()) == str(master.why())
    with pytest.raises(InputError, match="there is no item c; the ids are 1, 'b'"):
        master.why("c")


@pytest.mark.parametrize("is_recorded", [False, True])
def test_who_died_with_an_item_and_who_made_its_result(tmp_path: Path, is_recorded: bool) -> None:
    master = scripted(dies, done, data={"a": 1}, run_file=tmp_path / "it.run" if is_recorded else None)
    assert master.calculateResult() == {"a": "1"}
    story = master.why("a")
    assert "is finished: its result came from localhost" in story
    assert "localhost was lost: killed by SIGKILL" in story
    assert story.index("queued") < story.index("was lost") < story.index("result from localhost")


@pytest.mark.parametrize("is_recorded", [False, True])
def test_who_has_an_item_now(tmp_path: Path, is_recorded: bool) -> None:
    given: list[tuple[ScriptedSlave, Job]] = []

    def keeps(slave: ScriptedSlave, job: Job) -> None:
        given.append((slave, job))

    master = scripted(keeps, data={"a": 1}, run_file=tmp_path / "it.run" if is_recorded else None)
    master.start()
    wait_until(lambda: given)
    assert "item 'a' (1 of 1) is being worked on: localhost has been at it for" in master.why("a")
    assert "given to localhost" in master.why("a")
    assert "1 slave is busy: localhost has been at it for" in master.why()
    assert "with item 'a'" in master.why()
    master.exit()
    assert "nothing happens: the calculation was interrupted" in master.why()


def test_an_item_that_is_tried_again_says_why(tmp_path: Path) -> None:
    master = master_of({1: 1}, fail_on_odd, retries=1, on_error="collect", run_file=tmp_path / "it.run")
    master.calculateResult()
    story = master.why(1)
    assert "failed after 2 tries: ValueError: 1 is odd" in story
    assert story.count("failed on localhost: ValueError: 1 is odd") == 1  # the second is the end of the story
    assert "Traceback" in story


def test_disabled_hosts_are_the_reason(tmp_path: Path) -> None:
    master = scripted(silent, data={"a": 1})
    master.disabled_hosts.append("localhost")
    master.start()
    wait_until(lambda: "host localhost is disabled: by the user" in master.why(), "the reason")
    master.exit()


def test_what_goes_on_is_in_the_run_file_for_other_processes(tmp_path: Path) -> None:
    from tracking.store.run_reader import RunFileReader
    from tracking.why.recorded import present_facts

    path = tmp_path / "it.run"
    master = scripted(silent, data={"a": 1}, run_file=path)
    master.start()

    def told() -> str:
        with RunFileReader(path) as reader:
            facts = present_facts(reader, os.stat(path).st_mtime)
        return facts.now.slaves[0].state if facts.now and facts.now.slaves else ""

    wait_until(lambda: told() == "working", "the slave's state in the run file")
    master.exit()


def test_a_host_in_trouble_is_told_to_those_who_look_on() -> None:
    told: list[str] = []

    def looks(slave: ScriptedSlave, job: Job) -> None:
        told.extend(master._tr_snapshot().troubles)
        slave.finish(job)

    options: dict[str, Any] = {"hosts": 2, "chunk_size": 1, "host_failures": 3, "max_deaths": None}
    master = scripted(dies, dies, looks, data={"a": 1, "b": 2}, **options)
    assert master.calculateResult() == {"a": "1", "b": "2"}
    assert "host localhost is on probation" in told[0]


def test_slaves_that_were_lost_are_in_the_report(capfd: pytest.CaptureFixture[str]) -> None:
    master = scripted(dies, data={"a": 1}, verbose=1)
    master.calculateResult()
    assert "1 slave ended in between: localhost was killed by SIGKILL" in capfd.readouterr().err


def test_the_error_that_ended_a_calculation_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from tracking.store.run_reader import RunFileReader
    from tracking.why.present import tell_present
    from tracking.why.recorded import present_facts

    path = tmp_path / "it.run"
    master = scripted(done, data={"a": 1}, verbose=1, run_file=path)
    master.job_done = lambda tid, result: result["no such"]
    with pytest.raises(KeyError):
        master.calculateResult()
    assert "KeyError: 'no such'" in capfd.readouterr().err
    assert "KeyError: 'no such'" in master.why()
    with RunFileReader(path) as reader:
        assert "KeyError: 'no such'" in tell_present(present_facts(reader, os.stat(path).st_mtime))
