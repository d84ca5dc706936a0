"""Results that stay in the run file are read by the positions of their items, beside the writer and after it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from tests.store.helpers import job, recorded
from tracking.store.records import SingleJobs
from tracking.store.run_file import JobRecord, RunFile, RunFileReader


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


def singles(results: dict[Any, Any], positions: list[int]) -> SingleJobs:
    """Jobs of one item each."""
    n = len(results)
    payloads = [pickle.dumps([result]) for result in results.values()]
    return SingleJobs(
        list(results), positions, payloads, ["node"] * n, ["node_0"] * n, [0.0] * n, [0.5] * n, [b"12345678"] * n
    )


@pytest.mark.parametrize("positions", [[1, 3], [0, 2], [1, 1]], ids=["right", "wrong", "twice"])
def test_jobs_of_one_item_are_recorded_together_wherever_they_are_said_to_stand(
    path: Path, positions: list[int]
) -> None:
    run = RunFile.open(path, "abcd")
    run.record_error("b", "ValueError: bad", "node", "node_0", 1, b"")
    run.record_singles(singles({"b": "B", "d": "D"}, positions))
    run.record_singles(singles({"a": "A", "b": "late"}, [0, 1]))
    assert run.commit()
    assert run.results() == {"b": "B", "d": "D", "a": "A"}
    assert not run.errors()
    run.close("interrupted")
    summary = RunFileReader(path).summary()
    assert (summary.n_finished, summary.hosts[0].jobs, summary.hosts[0].seconds) == (3, 3, 1.5)


def test_an_item_of_a_large_job_takes_its_result_and_its_digest_in_the_file_and_nothing_else(path: Path) -> None:
    n = 50_000
    run = RunFile.open(path, list(range(n)))
    for first in range(0, n, 5000):
        ids = range(first, first + 5000)
        payload = pickle.dumps([float(id) for id in ids])
        run.record(JobRecord(ids, payload, "node", "node_0", 0.0, 0.5, bytes(8 * len(ids)), ids))
    run.close("finished")
    assert path.stat().st_size < 18 * n + 80_000  # 9 + 8
