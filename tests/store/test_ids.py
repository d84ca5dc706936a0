"""How ids stand in a run file, and what that costs."""

from __future__ import annotations

import json
import sqlite3
import tracemalloc
from collections.abc import Hashable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.store.helpers import job, recorded
from tracking.errors import StoreError
from tracking.store.finished import Finished
from tracking.store.id_blocks import BLOCK, ids_of, rows_of
from tracking.store.places import Places
from tracking.store.run_file import RunFile, RunFileReader


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.run"


MANY: list[Sequence[Any]] = [
    range(5, 10_000),
    list(range(3 * BLOCK)),
    [*range(BLOCK), "a", *range(BLOCK + 1, 3 * BLOCK)],
    [0, 1, 3, True, 4],
    [2**63 - 1, 2**63, -(2**63)],
    ["a", "half \udc80", "nul\0"],
    [(1, "a"), None, 1.0],
    "abc",
    [],
]


@pytest.mark.parametrize("ids", MANY, ids=[repr(ids)[:20] for ids in MANY])
def test_ids_come_back_from_their_blocks_as_what_they_were(ids: Sequence[Any]) -> None:
    found = [id for row in rows_of(ids) for id in ids_of(*row[1:])]
    assert found == list(ids)
    assert [type(id) for id in found] == [type(id) for id in ids]


def test_whole_numbers_one_after_the_other_are_one_row_however_many() -> None:
    assert list(rows_of(list(range(7, 7 + 5 * BLOCK + 3)))) == [(0, 5 * BLOCK + 3, 7, None)]


def test_in_blocks_of_others_any_tool_sees_their_repr(path: Path) -> None:
    recorded(path, [("a", 1), "b"], {})
    with closing(sqlite3.connect(path)) as database:
        (shown,) = database.execute("SELECT ids FROM ids").fetchone()
    assert json.loads(shown) == ["('a', 1)", "b"]


def test_who_stands_where_is_known_without_an_index_if_it_is_guessed_right() -> None:
    places = Places(["a", "b", "c"])
    assert places.positions(["b", "c"], range(1, 3)) == range(1, 3)
    assert places._index is None
    assert places.positions(["c", "a"], range(2)) == [2, 0]
    assert places.positions(["d", "e"]) == range(3, 5)
    assert places.at(range(2, 5)) == ["c", "d", "e"]


def test_what_is_kept_of_finished_items_is_a_byte_for_each() -> None:
    n = 1_000_000
    tracemalloc.start()
    finished = Finished(n)
    for first in range(0, n, 5000):
        finished.add(range(first, first + 4000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.2 * n
    assert sum(map(len, finished.runs())) == 4 * n // 5


def test_going_on_with_a_million_items_makes_no_object_for_each(path: Path) -> None:
    n = 1_000_000
    run = RunFile.open(path, range(n))
    run.record(job(dict.fromkeys(range(n // 2)))._replace(positions=range(n // 2)))
    run.close("interrupted")
    tracemalloc.start()
    run = RunFile.open(path, range(n))
    done = list(run.finished_positions())
    run.close("interrupted")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert done == [range(n // 2)]
    assert peak < 3 * n


def test_an_id_that_nobody_had_announced_is_recorded_as_any_other(path: Path) -> None:
    run = RunFile.open(path, ["a", "b"])
    run.record(job({"b": 1, "stranger": 2}))
    run.close("interrupted")
    run = RunFile.open(path, ["b", "a"])
    assert list(run.finished_positions()) == [range(1)]
    assert run.results() == {"b": 1, "stranger": 2}
    assert dict(run.stored_results().among()) == {0: 1}
    run.close("interrupted")
    assert RunFileReader(path).ids() == ["a", "b"]


@pytest.mark.parametrize("given", [["a"], ["a", "b", "c"], ["a", "c"]])
def test_other_ids_are_refused(path: Path, given: list[Hashable]) -> None:
    recorded(path, ["a", "b"], {"a": 1})
    with pytest.raises(StoreError, match="belongs to other data"):
        RunFile.open(path, given)


def test_any_tool_sees_each_item_with_its_job_and_position(path: Path) -> None:
    run = RunFile.open(path, [*range(10), "x", ("y",)])
    run.record(job({2: 0, 3: 0, 4: 0}))
    run.record(job({"x": 0, ("y",): 0, 3: "late"}))
    run.close("interrupted")
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT item, position, job, id FROM items ORDER BY item").fetchall()
    assert rows == [(1, 2, 1, 2), (2, 3, 1, 3), (3, 4, 1, 4), (4, 10, 2, "x"), (5, 11, 2, "('y',)")]


def test_a_list_of_a_million_ids_is_compared_without_a_copy_of_it(path: Path) -> None:
    n = 1_000_000
    ids = list(range(n))
    recorded(path, ids, {})
    tracemalloc.start()
    RunFile.open(path, ids).close("interrupted")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * n


class Lonely:
    """Equal to nothing but itself, as objects are whose class does not say otherwise."""


def test_ids_that_equal_only_themselves_are_refused_as_such(path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot find ids of class Lonely again, .* give it __eq__ and __hash__"):
        RunFile.open(path, [1, Lonely()])
