"""Results that were made with other code or other values: noticed item by item, and kept, recomputed or refused."""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.data.make_samples import IDS, RESULTS
from tests.store.helpers import job
from tracking.errors import StoreError
from tracking.store.changes import UNKNOWN
from tracking.store.run_file import JobRecord, RunFile, RunFileReader

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.run"


def digests_of(values: dict[Any, int]) -> Any:
    """The digests of values that are numbers, as a master gives them."""

    def give(ids: Sequence[Any]) -> bytes:
        return struct.pack(f"<{len(ids)}q", *[values[id] for id in ids])

    return give


def opened(path: Path, code: str = "c1", on_change: str = "keep", **changed: int) -> RunFile:
    """A run over the items a to d, of value 0, but those that are changed."""
    values = dict.fromkeys("abcd", 0) | changed
    return RunFile.open(path, "abcd", code=code, digests=digests_of(values), on_change=on_change)


def recorded(run: RunFile, results: dict[str, Any]) -> None:
    """Record results with the digests of value 0."""
    made = job(results)
    digests = struct.pack(f"<{len(results)}q", *[0 for _ in results])
    run.record(JobRecord(made.ids, made.payload, made.host, made.nickname, made.given_at, made.seconds, digests))


def begin(path: Path) -> None:
    """Two runs with different code: a, b made by c1; c by c2."""
    run = opened(path)
    recorded(run, {"a": "A", "b": "B"})
    run.close("interrupted")
    run = opened(path, "c2")
    recorded(run, {"c": "C"})
    run.close("interrupted")


@pytest.mark.parametrize(
    ("code", "changed", "expected"),
    [
        ("c2", {}, {"a": "other code", "b": "other code"}),
        ("c1", {}, {"c": "other code"}),
        ("c1", {"b": 7}, {"b": "another value", "c": "other code"}),
        ("c2", {"b": 7}, {"a": "other code", "b": "other code and another value"}),
        ("", {"c": 7, "d": 7}, {"c": "another value"}),
        ("", {}, {}),
    ],
)
def test_each_result_made_otherwise_is_found(
    path: Path, code: str, changed: dict[str, int], expected: dict[str, str]
) -> None:
    begin(path)
    run = opened(path, code, **changed)
    changes = run.changes
    assert {id: part.why for part in changes.parts for id in part.ids} == expected
    assert changes.n == len(expected)
    assert changes.code == any("code" in why for why in expected.values())
    assert changes.values == any("value" in why for why in expected.values())
    assert run.results() == {"a": "A", "b": "B", "c": "C"}
    run.close("interrupted")


def test_values_that_are_unknown_on_either_side_are_not_compared(path: Path) -> None:
    run = RunFile.open(path, "abc", digests=lambda ids: None)
    made = job({"a": 1, "b": 2})
    run.record(JobRecord(made.ids, made.payload, "node", "node_0", 0.0, 0.0, UNKNOWN + bytes(8)))
    run.record(job({"c": 3}))
    run.close("interrupted")
    run = RunFile.open(path, "abc", digests=lambda ids: b"12345678" * len(ids))
    assert run.changes.ids == ["b"]
    run.close("interrupted")
    run = RunFile.open(path, "abc", digests=lambda ids: None)
    assert not run.changes.ids
    run.close("interrupted")


def test_code_of_another_version_of_python_is_not_compared(path: Path) -> None:
    begin(path)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE runs SET code = replace(code, ?, 'other')", (sys.implementation.cache_tag,))
        database.commit()
    run = opened(path, "c3", a=1)
    assert run.changes.ids == ["a"]
    run.close("interrupted")


def test_refused_nothing_is_changed(path: Path) -> None:
    begin(path)
    before = path.read_bytes()
    with pytest.raises(
        StoreError,
        match=re.escape("3 results that were made with other code and other values (items 'a', 'b', 'c'; recorded by "
                        "run 1, 2), and on_change is 'refuse': nothing was started and nothing changed. ")
        + ".*on_change='recompute'.*on_change='keep'",
    ):  # fmt: skip
        opened(path, "c3", "refuse", a=1)
    assert path.read_bytes() == before
    opened(path, "c2", "keep").close("interrupted")
    run = opened(path, "", "refuse")  # nothing is known to differ
    run.close("interrupted")


def test_recomputed_results_do_not_count_until_the_new_ones_come(path: Path) -> None:
    begin(path)
    run = opened(path, "c2", "recompute")
    assert run.changes.ids == ["a", "b"]
    assert run.results() == {"c": "C"}
    assert set(run.finished_ids()) == {"c"}
    recorded(run, {"a": "new A", "d": "D"})
    run.close("interrupted")  # before b's turn came

    reader = RunFileReader(path)
    assert dict(reader.results()) == {"c": "C", "a": "new A", "d": "D"}
    assert reader.summary().n_finished == 3
    made = reader.results_of("a")
    assert [(result.run, result.outdated_by, result.why) for result in made] == [(1, 3, "other code"), (3, None, None)]

    again = opened(path, "c2", "keep")  # whatever is said now: b has no result that counts
    assert again.results() == {"c": "C", "a": "new A", "d": "D"}
    assert not again.changes.ids
    recorded(again, {"b": "new B"})
    again.close("finished")
    assert dict(RunFileReader(path).results()) == {"a": "new A", "b": "new B", "c": "C", "d": "D"}
    with contextlib.closing(sqlite3.connect(path)) as database:
        states = database.execute("SELECT id, count(*), max(state) FROM item_states GROUP BY id").fetchall()
    assert states == [(id, 1, "finished") for id in "abcd"]


def test_results_that_do_not_count_are_not_even_read(path: Path) -> None:
    run = opened(path)
    run.record(JobRecord(["a"], b"no pickle", "node", "node_0", 0.0, 0.0))
    recorded(run, {"b": "B"})
    run.close("interrupted")
    run = opened(path, "c2", "recompute")
    assert run.results() == {}
    recorded(run, {"b": "new"})
    assert run.commit()
    assert run.results() == {"b": "new"}
    run.close("interrupted")


def test_many_jobs_without_a_result_that_counts_do_not_end_the_reading(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracking.store.contents.BATCH_JOBS", 1)
    begin(path)
    run = opened(path, "c2", "recompute")
    assert run.results() == {"c": "C"}
    assert dict(RunFileReader(path).results()) == {"c": "C"}
    run.close("interrupted")


@pytest.mark.parametrize(("data", "n_changed"), [("the values", 0), ("others", 3), ("", 0)])
def test_in_a_file_of_version_1_all_results_of_a_run_changed_or_none(path: Path, data: str, n_changed: int) -> None:
    shutil.copy(DATA / "v1.run", path)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("""UPDATE runs SET code = '{"code": "the code", "values": "the values", "python": ""}'""")
        database.commit()
    for on_change in ("keep", "recompute"):
        run = RunFile.open(
            path, IDS, code="the code", digests=lambda ids: bytes(8 * len(ids)), data=lambda: data, on_change=on_change,
            trust=True,
        )  # fmt: skip
        assert len(run.changes.ids) == n_changed
        run.close("interrupted")
    assert len(dict(RunFileReader(path, trust=True).results())) == len(RESULTS) - n_changed


def test_values_that_take_long_to_compare_are_left_for_later_if_changes_are_only_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(path)
    monkeypatch.setattr("tracking.store.opening.AT_ONCE_S", -1.0)
    run = opened(path, "c2", b=7, c=7)
    assert (run.changes.ids, run.changes.code, run.changes.values) == (["a", "b"], True, False)  # code at once
    assert run.later is not None
    recorded(run, {"d": "D"})
    assert run.commit()
    assert run.later.look(0.0), "one job, and there is one more"
    assert run.later.changes.ids == ["b"]
    assert not run.later.look(float("inf"))
    assert not run.later.look(float("inf"))
    assert (run.later.changes.ids, run.later.changes.code, run.later.changes.n) == (["b", "c"], False, 2)
    run.close("interrupted")


@pytest.mark.parametrize("on_change", ["recompute", "refuse"])
def test_values_whose_change_has_consequences_are_compared_before_anything_is_begun(
    path: Path, on_change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = opened(path)
    recorded(run, {"a": "A", "b": "B"})
    run.close("interrupted")
    monkeypatch.setattr("tracking.store.opening.AT_ONCE_S", -1.0)
    with contextlib.nullcontext() if on_change == "recompute" else pytest.raises(StoreError, match="other values"):
        run = opened(path, "c1", on_change, b=7)
        assert (run.changes.ids, run.later) == (["b"], None)
        run.close("interrupted")


def test_jobs_of_one_item_are_compared_many_at_a_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracking.store.recorded_jobs._AT_ONCE", 2)
    run = opened(path)
    for id in "dab":
        recorded(run, {id: id.upper()})
    recorded(run, {"a": "late", "c": "C"})
    run.close("interrupted")
    asked: list[list[str]] = []

    def give(ids: Sequence[str]) -> bytes:
        asked.append(list(ids))
        return digests_of({"a": 0, "b": 7, "c": 0, "d": 7})(ids)

    run = RunFile.open(path, "abcd", code="c1", digests=give, on_change="recompute")
    assert asked == [["d", "a"], ["b"], ["c"]]
    assert run.changes.ids == ["d", "b"]
    assert run.results() == {"a": "A", "c": "C"}
    recorded(run, {"d": "new"})
    run.close("interrupted")
    run = opened(path, on_change="recompute", a=1)
    assert run.changes.ids == ["a"]
    assert run.results() == {"c": "C", "d": "new"}
    run.close("interrupted")
