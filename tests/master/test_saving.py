"""What of a master goes into files: what can be pickled, and no more than there is room for."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path

import pytest

from tests.master.helpers import master_of, squares
from tracking.master.saving import bytes_within, saveable
from tracking.store.run_reader import RunFileReader


def test_what_is_small_enough_is_pickled() -> None:
    found = bytes_within(1000, {"a": 1}, "it")
    assert found is not None
    assert pickle.loads(found) == {"a": 1}


def test_what_is_too_large_is_left_when_that_is_seen() -> None:
    asked: list[int] = []

    class Counted:
        def __reduce__(self) -> tuple[type[bytes], tuple[bytes]]:
            asked.append(1)
            return bytes, (bytes(1 << 16),)

    assert bytes_within(1 << 20, [Counted() for _ in range(100)], "it") is None
    assert len(asked) < 20


def test_what_needs_another_pickler_has_the_same_limit() -> None:
    found = bytes_within(10_000, lambda n: n + 1, "it")
    assert found is not None
    assert pickle.loads(found)(1) == 2
    assert bytes_within(100, lambda n: n + 1, "it") is None


def test_what_cannot_be_pickled_is_nothing() -> None:
    assert bytes_within(1000, (n for n in "ab"), "it") is None
    assert saveable({"a": threading.Lock(), "b": {1: 2}}) == {"b": {1: 2}}


def test_dicts_are_copied_where_they_may_change_meanwhile() -> None:
    inner = {1: 2}
    assert saveable({"a": inner})["a"] is not inner
    assert saveable({"a": inner}, copies=False)["a"] is inner


def test_data_too_large_for_the_run_file_are_not_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracking.master.tracking_job_master._LARGEST_RECIPE_BYTES", 5000)
    small = master_of({1: 1}, run_file=tmp_path / "small.run")
    assert small.calculateResult() == {1: 1}
    large = master_of(5000, run_file=tmp_path / "large.run")
    assert large.calculateResult() == squares(5000)
    assert RunFileReader(tmp_path / "small.run").recipe() is not None
    assert RunFileReader(tmp_path / "large.run").recipe() is None
