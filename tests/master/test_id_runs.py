"""Ids of a job that are described, not copied."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tracking.master.id_runs import IdRun, ids_in_run

IDS: list[Any] = [f"item {number}" for number in range(5000)]


def test_a_run_shows_the_ids_from_one_position_to_another() -> None:
    run = ids_in_run(IDS, range(1000, 4000))
    assert list(run) == IDS[1000:4000]
    assert (len(run), run[0], run[-1]) == (3000, "item 1000", "item 3999")
    assert list(reversed(run)) == IDS[3999:999:-1]
    assert "item 999" not in run
    with pytest.raises(IndexError):
        run[3000]


def test_parts_of_a_run_are_taken_as_of_a_list() -> None:
    run = IdRun(IDS, 10, 20)
    assert list(run[2:5]) == IDS[12:15]
    assert list(run[2:50]) == IDS[12:20]
    assert run[:3:-2] == [IDS[19], IDS[17], IDS[15]]


def test_a_run_can_be_read_again_and_again_side_by_side() -> None:
    run = IdRun(IDS, 10, 13)
    assert list(zip(run, run, strict=True)) == [(id, id) for id in IDS[10:13]]


def test_a_long_run_copies_no_ids_and_a_short_one_is_a_plain_list() -> None:
    assert sys.getsizeof(ids_in_run(IDS, range(5000))) < 100
    assert ids_in_run(IDS, range(2, 4)) == IDS[2:4]


def test_of_ids_that_are_made_when_needed_a_run_is_their_own() -> None:
    assert ids_in_run(range(10_000), range(2000, 4000)) == range(2000, 4000)
