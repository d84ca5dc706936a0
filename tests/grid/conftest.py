"""A grid of two servers on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.grid.things import Replica
from tests.pool.helpers import Gates
from tracking.grid import Grid, create_host_list


@pytest.fixture
def grid(tmp_path: Path) -> Iterator[Grid]:
    with Grid(create_host_list(["localhost"] * 2, str(tmp_path / "temp"))) as made:
        yield made


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Grid]:
    """A grid of one server."""
    with Grid(create_host_list(["localhost"], str(tmp_path / "temp"))) as made:
        yield made


@pytest.fixture
def service_id(grid: Grid) -> str:
    return grid.publish(Replica())


@pytest.fixture
def gates(tmp_path: Path) -> Gates:
    return Gates(tmp_path)
