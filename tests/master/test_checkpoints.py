"""States that a master keeps in its run file, beside the results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.master.work import square, wait_for_file
from tracking import EncodeError, InputError, TrackingJobMaster
from tracking.store.run_reader import RunFileReader

OPTIONS: dict[str, Any] = {"hosts": ["localhost"], "niceness": {"default": 0}, "verbose": 0, "chunk_size": 1}


class Summing(TrackingJobMaster):
    """Keeps the sum of its results beside them."""

    stop_after = 10**9

    def job_done(self, slave_tid: int, result: dict[Any, Any]) -> None:
        n, total = self.restored("sum", (0, 0))
        self.checkpoint("sum", (n + len(result), total + sum(result.values())))
        if n + len(result) >= self.stop_after:
            self.stop()


def test_a_state_kept_in_job_done_belongs_to_exactly_the_recorded_results(tmp_path: Path) -> None:
    path, data = tmp_path / "x.run", {n: n for n in range(10)}
    first = Summing(data, function=square, run_file=path, **OPTIONS)
    first.stop_after = 4
    first.start()
    first.wait()
    recorded = dict(RunFileReader(path).results())
    assert first.restored("sum") == (len(recorded), sum(recorded.values()))
    assert 4 <= len(recorded) < 10
    second = Summing(data, function=square, run_file=path, **OPTIONS)
    assert second.restored("sum") == first.restored("sum")
    second.calculateResult()
    assert second.restored("sum") == (10, sum(n * n for n in range(10)))


def test_what_is_computed_anew_is_not_summed_up_twice(tmp_path: Path) -> None:
    path, data = tmp_path / "x.run", {n: n for n in range(5)}
    for function in (lambda n: n, lambda n: 2 * n):
        master = Summing(data, function=function, run_file=path, on_change="recompute", **OPTIONS)
        master.calculateResult()
    assert master.restored("sum") == (5, sum(2 * n for n in data))


def test_a_state_may_be_kept_from_any_thread_while_it_works(tmp_path: Path) -> None:
    path, gate = tmp_path / "x.run", tmp_path / "gate"
    master = TrackingJobMaster({1: str(gate)}, function=wait_for_file, run_file=path, **OPTIONS)
    master.start()
    try:
        assert master.checkpoint("mine", {"a": 1}) == 1
        assert master.restored("mine") == {"a": 1}
    finally:
        gate.touch()
    assert master.wait(20)
    assert master.restored("mine") == {"a": 1}


def test_without_a_run_file_or_out_of_time_a_state_is_refused_in_words(tmp_path: Path) -> None:
    master = TrackingJobMaster({1: 1}, function=square, **OPTIONS)
    with pytest.raises(InputError, match="give run_file="):
        master.checkpoint("a", 1)
    assert master.restored("a", "nothing") == "nothing"
    master = TrackingJobMaster({1: 1}, function=square, run_file=tmp_path / "x.run", **OPTIONS)
    with pytest.raises(InputError, match="must be a str, not 3"):
        master.checkpoint(3, 1)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="not at work"):
        master.checkpoint("a", 1)
    assert master.restored("a") is None
    master.calculateResult()
    assert master.restored("a") is None


def test_a_state_that_cannot_be_pickled_is_refused_where_it_is_given(tmp_path: Path) -> None:
    seen: list[BaseException] = []

    class Keeping(TrackingJobMaster):
        def job_done(self, slave_tid: int, result: dict[Any, Any]) -> None:
            try:
                self.checkpoint("a", (value for value in ()))
            except EncodeError as error:
                seen.append(error)

    master = Keeping({1: 1}, function=square, run_file=tmp_path / "x.run", **OPTIONS)
    assert master.calculateResult() == {1: 1}
    assert "the state 'a'" in str(seen[0])
