"""Killed at any of very many moments around its commits, or torn by a crash of the machine, a run file is right."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.helpers import ROOT


@pytest.fixture
def quick_disk() -> Iterator[Path]:
    """A directory in memory if there is one: a kill is as sudden there, and nothing waits for a disk."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as place:  # noqa: S108
        yield Path(place)


def counted(directory: Path, stride: int, *ways: str, limit_s: float) -> dict[str, int]:
    """Have the kills of these ways done; a check that fails is told."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.store.crash_points", str(directory), str(stride), *ways],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("way", "stride", "least"), [("lines", 131, 50), ("statements", 17, 35), ("steps", 9, 40), ("bytes", 19, 75)]
)
def test_killed_at_any_moment_the_file_is_right_and_can_be_gone_on_with(
    quick_disk: Path, way: str, stride: int, least: int
) -> None:
    assert counted(quick_disk, stride, way, limit_s=55)[way] >= least  # more than 200 together


def test_torn_by_a_crash_of_the_machine_the_file_holds_what_was_whole(quick_disk: Path) -> None:
    assert sum(counted(quick_disk, 11, "torn", limit_s=55).values()) >= 100


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("way", "stride", "least"),
    [("lines", 5, 1000), ("statements", 1, 500), ("steps", 1, 300), ("bytes", 1, 1000), ("torn", 1, 1000)],
)
def test_killed_at_very_many_moments_the_file_is_right(quick_disk: Path, way: str, stride: int, least: int) -> None:
    assert sum(counted(quick_disk, stride, way, limit_s=1200).values()) >= least
