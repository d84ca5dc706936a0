"""Servers that a queueing system starts, on hosts that it chooses."""

from __future__ import annotations

import pytest

from tests.engines import engine
from tests.grid.things import Replica
from tracking import SlaveLost
from tracking.grid import Grid, PyroGrid

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(180)]
PATIENCE_S = 100.0


def check(grid: Grid) -> None:
    service_id = grid.publish(Replica())
    assert grid.gather(grid.broadcast(service_id, "m", "evaluate", False), PATIENCE_S) == [(1.5, False)] * 2
    assert all(server.host.name for server in grid.servers[service_id])
    first = grid.servers[service_id][0]
    with pytest.raises(SlaveLost):
        first.proxy.die().get(PATIENCE_S)
    assert grid.gather(grid.scatter(service_id, "add", [1, 2]), PATIENCE_S) == [1, 2]


def test_servers_are_slurm_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in engine("slurm", "-m", "netns").items():
        monkeypatch.setenv(name, value)
    with Grid(2, fabric="slurm", publish_wait=PATIENCE_S) as grid:
        check(grid)
        assert all(server.host.name != "localhost" for servers in grid.servers.values() for server in servers)


def test_the_method_qsub_makes_servers_jobs_of_grid_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in engine("sge").items():
        monkeypatch.setenv(name, value)
    with PyroGrid(["localhost"] * 2, method="qsub", publish_wait=PATIENCE_S) as grid:
        check(grid)
