"""Results that stay in the run file are read by the positions of their items, beside the writer and after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.store.helpers import job, recorded
from tracking.store.run_file import RunFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.run"


def test_finished_items_are_told_as_ranges_of_positions_of_the_ids_that_were_given(path: Path) -> None:
    recorded(path, "abcdef", {"c": 1, "a": 2, "b": 3, "f": 4})
    run = RunFile.open(path, "abcdef")
    assert list(run.finished_positions()) == [range(3), range(5, 6)]
    run.record(job({"d": 5}))
    assert list(run.finished_positions()) == [range(4), range(5, 6)]
    run.close("interrupted")
    run = RunFile.open(path, "fedcba")  # in another order than before
    assert list(run.finished_positions()) == [range(1), range(2, 6)]
    run.close("interrupted")


def test_results_are_read_by_position_as_soon_as_they_are_committed_and_when_the_writer_is_gone(path: Path) -> None:
    recorded(path, "abcdef", {"c": "C", "a": "A"})
    run = RunFile.open(path, "fedcba")
    stored = run.stored_results()
    assert (stored.at(3), stored.at(5)) == ("C", "A")
    with pytest.raises(KeyError):
        stored.at(0)
    run.record(job({"f": "F", "b": "B"}))
    with pytest.raises(KeyError):
        stored.at(0)
    run.commit()
    assert stored.at(0) == "F"
    assert dict(stored.among()) == {0: "F", 3: "C", 4: "B", 5: "A"}
    assert dict(stored.among(range(4))) == {0: "F", 3: "C"}
    run.close("finished")
    assert stored.at(4) == "B"
