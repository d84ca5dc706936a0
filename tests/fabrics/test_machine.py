"""Which names mean this machine, and how many slaves it can feed."""

from __future__ import annotations

import os
import socket

import pytest

from tracking.fabrics import machine


@pytest.mark.parametrize(
    "name", ["localhost", "LOCALHOST", "127.0.0.1", "::1", socket.gethostname(), socket.gethostname().partition(".")[0]]
)
def test_these_names_mean_this_machine(name: str) -> None:
    assert machine.is_local(name)


def test_cores_are_those_that_this_process_may_use() -> None:
    assert 1 <= machine.usable_cores() <= len(os.sched_getaffinity(0))

