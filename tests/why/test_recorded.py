"""What a run file tells about its items, and which of them is meant."""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Hashable
from pathlib import Path, PurePosixPath

import pytest

from tests.store.helpers import Clock, job
from tracking.errors import InputError
from tracking.store import pending
from tracking.store.run_file import RunFile, RunFileReader
from tracking.why import facts as f
from tracking.why.finding import find_id
from tracking.why.present import tell_present
from tracking.why.recorded import item_facts, present_facts
from tracking.why.stories import tell_item

IDS: list[Hashable] = ["a", "b", 1, "1", ("x", 3), 2**70]


@pytest.fixture
def run(tmp_path: Path) -> RunFile:
    return RunFile.open(tmp_path / "x.run", IDS, code="c1", clock=Clock(999_000.0))


def facts_of(run: RunFile, id: Hashable) -> f.ItemFacts:
    return item_facts(RunFileReader(run.path), id, 999_100.0)


def test_events_are_kept_and_found_by_item(run: RunFile) -> None:
    run.note(f.LOST, "killed \ud800", host="node", nickname="node_0", ids=["a", 1])
    run.note(f.SILENT, "no answer", host="node", nickname="node_1", ids=[("x", 3), 2**70])
    run.note(f.LEFT_OUT, "10 slaves died", host="node")
    assert run.has_uncommitted
    assert run.close("interrupted")
    assert [event.kind for event in facts_of(run, 1).events] == [f.LOST]
    assert [event.kind for event in facts_of(run, ("x", 3)).events] == [f.SILENT]
    assert [event.kind for event in facts_of(run, 2**70).events] == [f.SILENT]
    assert facts_of(run, "1").events == ()
    assert facts_of(run, "a").events == (f.ItemEvent(999_000.0, "lost", "killed \\ud800", "node", "node_0", 2),)
    assert len(RunFileReader(run.path).history().events) == 3


def test_of_an_event_about_very_many_items_the_first_are_kept(run: RunFile) -> None:
    run.note(f.LOST, "gone", ids=[*range(5000)])
    run.close("interrupted")
    (event,) = RunFileReader(run.path).history().events
    assert (event.n_items, len(event.ids)) == (5000, 1000)


def test_only_the_latest_events_are_kept(run: RunFile, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pending", "history"):
        monkeypatch.setattr(f"tracking.store.{module}.MAX_EVENTS", 20)
    for i in range(15):
        run.note(f.SILENT, str(i), ids=["a"])
    assert run.commit()
    assert not facts_of(run, "a").lacks_events
    for i in range(15, 45):
        run.note(f.SILENT, str(i), ids=["a"])
    assert len(run._pending.events) <= pending.MAX_EVENTS
    assert run.close("interrupted")
    item = facts_of(run, "a")
    assert item.lacks_events
    assert [event.words for event in item.events] == [str(i) for i in range(25, 45)]


def test_an_item_is_told_with_all_that_the_file_knows(run: RunFile) -> None:
    run.record(job({"a": 1, "b": 2}, nickname="node_1"))
    run.record_error(1, "ValueError: one", "node", "node_0", 2, pickle.dumps("Traceback ..."))
    now = f.Now(999_000.0, 6, 2, 1, (f.SlaveFact("node_0", "node", "working", 999_000.0, "'1', ('x', 3)", 2),))
    run.note_now(now.to_json())
    assert run.commit()
    a = facts_of(run, "a")
    assert (a.state, a.place, a.n_items, a.error) == ("finished", 1, 6, None)
    assert [(r.nickname, r.n_items, r.code) for r in a.results] == [("node_1", 2, "c1")]
    one = facts_of(run, 1)
    assert one.error == f.ItemError(999_000.0, "ValueError: one", "node", "node_0", 2, "Traceback ...")
    assert [slave.nickname for slave in facts_of(run, "1").holders] == ["node_0"]
    assert facts_of(run, 2**70).holders == ()
    assert all(tell_item(facts_of(run, id)) for id in IDS)
    present = present_facts(RunFileReader(run.path), 999_001.0)
    assert present.now == now
    assert (present.state, present.n_finished, present.n_failed) == ("running", 2, 1)
    run.close("interrupted")
    assert facts_of(run, "1").holders == ()
    assert present_facts(RunFileReader(run.path), 999_001.0).now is None


def test_what_an_earlier_master_said_is_not_what_goes_on_now(run: RunFile) -> None:
    run.note_now(f.Now(0.0, 6, 0, 0).to_json())
    run.close("interrupted")
    again = RunFile.open(run.path, IDS, clock=Clock(999_500.0))
    assert "has not said yet" in tell_present(present_facts(RunFileReader(run.path), 999_501.0))
    again.note_now("nonsense")
    assert again.commit()
    assert "has not said yet" in tell_present(present_facts(RunFileReader(run.path), 999_501.0))
    again.close("interrupted")


def test_a_killed_master_is_told_as_gone(run: RunFile) -> None:
    run.close("interrupted")
    database = sqlite3.connect(run.path)
    database.execute("UPDATE runs SET state = 'running', ended_at = NULL")
    database.commit()
    database.close()
    assert "is gone" in tell_present(present_facts(RunFileReader(run.path), 999_500.0))
    assert facts_of(run, "a").runs[0].state == "gone"


def test_the_last_result_of_a_killed_master_is_a_sign_of_life(run: RunFile) -> None:
    run._clock.now += 50  # type: ignore[attr-defined]
    run.record(job({"b": 2}))
    run.close("interrupted")
    database = sqlite3.connect(run.path)
    database.execute("UPDATE runs SET state = 'running', ended_at = NULL, alive_at = 999000.0")
    database.commit()
    database.close()
    assert present_facts(RunFileReader(run.path), 999_500.0).run.alive_at == 999_050.0  # type: ignore[union-attr]
    assert facts_of(run, "a").runs[0].alive_at == 999_050.0


def test_saying_what_goes_on_is_a_sign_of_life(run: RunFile) -> None:
    run._clock.now += 50  # type: ignore[attr-defined]
    run.note_now("{}")
    assert run.commit()
    assert RunFileReader(run.path).history().runs[0].alive_at == 999_050.0
    assert not run.has_uncommitted
    run.close("interrupted")


@pytest.mark.parametrize(
    ("typed", "found"),
    [("a", "a"), ("'a'", "a"), ("1", 1), ("'1'", "1"), ("('x', 3)", ("x", 3)), (str(2**70), 2**70)],
)
def test_an_id_is_found_by_what_is_typed(typed: str, found: Hashable) -> None:
    assert find_id(IDS, typed) == found
    assert type(find_id(IDS, typed)) is type(found)


@pytest.mark.parametrize(
    ("ids", "typed", "said"),
    [
        (IDS, "A", "there is no item A; did you mean 'a'?"),
        (["lake_1", "lake_2", "sea"], "lake_3", "there is no item lake_3; did you mean 'lake_2' or 'lake_1'?"),
        (["lake_1", "lake_2", "sea"], "lake", "there is no item lake; did you mean 'lake_1' or 'lake_2'?"),
        (range(100), "1000", "there is no item 1000; did you mean 10?"),
        (range(100), "zzz", "there is no item zzz; the ids are 0, 1, 2, ..."),
        ([], "zzz", "there is no item zzz; there are no items"),
        ([Path("a"), "b", PurePosixPath("a")], "a", "'a' may be several items: "),
    ],
)
def test_an_unknown_id_is_answered_with_those_that_are_alike(ids: list[Hashable], typed: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        find_id(ids, typed)
    assert str(caught.value).startswith(said)
