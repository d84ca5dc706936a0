"""Which names mean this machine, and how many slaves it can feed."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tracking.fabrics import machine


@pytest.mark.parametrize(
    "name", ["localhost", "LOCALHOST", "127.0.0.1", "::1", socket.gethostname(), socket.gethostname().partition(".")[0]]
)
def test_these_names_mean_this_machine(name: str) -> None:
    assert machine.is_local(name)


def test_cores_are_those_that_this_process_may_use() -> None:
    assert 1 <= machine.usable_cores() <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("text", "quota"), [("max 100000\n", None), ("150000 100000\n", 1.5), ("garbage", None), ("", None)]
)
def test_the_quota_of_a_container_is_read(tmp_path: Path, text: str, quota: float | None) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(text)
    assert machine._cgroup_quota(file) == quota


def test_without_a_quota_file_there_is_no_quota(tmp_path: Path) -> None:
    assert machine._cgroup_quota(tmp_path / "cpu.max") is None
