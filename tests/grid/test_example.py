"""The example of replica exchange, under the kills of its servers."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.pool.helpers import WAIT_S
from tracking.grid import Grid

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "isd_replica_exchange.py"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("isd_replica_exchange", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.syspath_prepend(str(EXAMPLE.parent))
    monkeypatch.setitem(sys.modules, spec.name, module)
    monkeypatch.setattr(module, "SWEEPS", 40)
    return module


def test_replicas_whose_servers_are_killed_again_and_again_find_the_same(example: ModuleType, tmp_path: Path) -> None:
    n_replicas = len(example.BETAS)
    with Grid(["localhost"] * n_replicas, host_failures=None) as grid:

        def kill(sweep: int, service_id: str) -> None:
            if sweep % 8 == 3:
                victim = grid.servers[service_id][sweep % n_replicas]
                os.kill(victim.proxy.pid().get(WAIT_S), signal.SIGKILL)

        assert example.simulate(grid, kill) == example.simulate(grid)


def test_help_is_shown_and_nothing_is_run() -> None:
    command = [sys.executable, str(EXAMPLE), "--help"]
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLE.parents[1])}
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=WAIT_S, env=environment)
    assert shown.stdout.startswith("usage: isd_replica_exchange.py")
    assert "accepted" not in shown.stdout


def test_integrals_and_averages_are_what_they_should_be(example: ModuleType) -> None:
    assert abs(example.exact_mean(0.0)) < 1e-12
    assert example.exact_mean(50.0) < -0.9
    assert example.averages([[1.0, 2.0]] * 40) == [(1.0, 0.0), (2.0, 0.0)]
