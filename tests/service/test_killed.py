"""The example fit under kill -9: of a slave, and of the program itself."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.pool.helpers import wait_for_end
from tests.service.services import WAIT_S
from tracking.service import Client, Monitor, Progress, Proxy, ServiceHandler
from tracking.store.run_file import RunFileReader

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "park_fit.py"


@pytest.fixture(scope="module")
def park_fit() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(EXAMPLE.parent)
        import park_fit

        assert isinstance(park_fit, ModuleType)
        yield park_fit


@pytest.fixture(scope="module")
def uninterrupted(park_fit: Any) -> Any:
    """The result of the same fit without slaves, and without any trouble."""
    handler = ServiceHandler()
    handler.start(park_fit.PeakFit, park_fit.PeakFit.request(seed=1, generations=150, size=40))
    return handler.wait(WAIT_S)


class Killing(Monitor):
    """Kills a slave half-way."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.killed = 0

    def onMonitorProgress(self, message: Progress) -> None:
        if message.complete >= 75 and not self.killed:
            self.killed = min(self.client.workers.pool.pids.values())
            os.kill(self.killed, signal.SIGKILL)


def test_a_slave_killed_half_way_changes_nothing_in_the_result(
    park_fit: Any, uninterrupted: Any, tmp_path: Path
) -> None:
    with Client(workers=2) as client:
        job: Proxy = park_fit.fit(client, str(tmp_path / "fit.run"))
        killing = Killing(client)
        client.listen(job.job, killing)
        result = job.wait(WAIT_S)
        assert killing.killed
        wait_for_end(killing.killed)
    assert result == uninterrupted


def begun(run_file: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(EXAMPLE), "--run-file", str(run_file)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("kills", [(60,), pytest.param((40, 80), marks=pytest.mark.slow)])
def test_the_program_killed_half_way_goes_on_from_its_last_state_with_the_same_result(
    uninterrupted: Any, tmp_path: Path, kills: tuple[int, ...]
) -> None:
    run_file, told = tmp_path / "fit.run", 0
    for kill_at in kills:
        with begun(run_file) as program:
            assert program.stdout is not None
            first = n_done(program.stdout.readline())
            assert first >= told - 1  # nothing that was kept is computed again
            for line in program.stdout:
                told = n_done(line)
                if told >= kill_at:
                    program.kill()
                    break
        assert program.returncode == -signal.SIGKILL
        kept = {record.name: record.number for record in RunFileReader(run_file).summary().checkpoints}
        assert kept["state"] >= told - 1
    with begun(run_file) as program:
        assert program.stdout is not None
        lines = program.stdout.read().splitlines()
    assert n_done(lines[0]) >= told - 1  # progress is told just before the state is kept
    assert lines[-1] == f"result: {uninterrupted}"
    with begun(run_file) as program:  # complete: nothing is computed
        assert program.stdout is not None
        assert program.stdout.read().splitlines() == [lines[-1]]


def n_done(line: str) -> int:
    found = re.match(r"Progress: (\d+) generations of 150", line)
    assert found, line
    return int(found[1])
