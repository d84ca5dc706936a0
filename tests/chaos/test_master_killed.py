"""The master is killed and started again, at random moments, while its slaves are struck, too."""

from __future__ import annotations

import random
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.chaos.restarted import Restarted
from tests.chaos.storm import seed
from tests.master.helpers import PATIENCE_S
from tests.pool.helpers import wait_for_end

PROGRAM = """
import json, sys
from pathlib import Path
from tests.chaos.storm import Storm
from tests.chaos.work import logged_answer
from tracking import SlavePool, TrackingJobMaster

here, n_items, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
data = {n: (str(here / "log"), n, seconds) for n in range(n_items)}
with SlavePool(4, max_deaths=None, host_failures=None) as pool:
    master = TrackingJobMaster(data, function=logged_answer, pool=pool, max_deaths=None, verbose=0,
                               run_file=here / "it.run")
    def pids():
        found = list(pool.pids.values())
        with open(here / "pids", "a") as file:
            file.write(" ".join(map(str, found)) + "\\n")
        return found
    with Storm(pids, 3600):
        result = {}
        for id, value in master:
            assert id not in result, f"{id} came twice"
            result[id] = value
    assert not master.errors, master.errors
(here / "result.json").write_text(json.dumps(sorted(result.items())))
"""


def wait_for_slaves(folder: Path) -> None:
    """Wait for the end of all that the last run had."""
    pids = folder / "pids"
    seen = {int(pid) for pid in pids.read_text().split()} if pids.exists() else set()
    wait_for_end(*seen)
    pids.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("kills", "after_s", "n_items", "item_s"),
    [
        (2, (0.6, 0.9), 80, 0.1),
        pytest.param(20, (0.3, 1.8), 2000, 0.06, marks=[pytest.mark.slow, pytest.mark.timeout(300)]),
    ],
)
def test_nothing_recorded_is_lost_or_computed_again(
    tmp_path: Path, kills: int, after_s: tuple[float, float], n_items: int, item_s: float
) -> None:
    chance = random.Random(seed())
    program = Restarted(tmp_path, PROGRAM, n_items, item_s)
    n_killed, recorded = 0, set[int]()
    while not program.is_done():
        process = program.start()
        try:
            with suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(*after_s) if n_killed < kills else 4 * PATIENCE_S)
        finally:
            process.kill()
            status = process.wait()
        assert status in (0, -signal.SIGKILL)
        n_killed += status != 0
        wait_for_slaves(tmp_path)
        again = program.begun() & recorded
        assert not again, f"computed again although recorded: {again} (run {program.run})"
        now = program.recorded()
        assert recorded <= now, "what was recorded is lost"
        recorded = now
        assert n_killed <= kills, "the last run has not come to its end"
    assert n_killed == kills, "it was over before the last kill: nothing is shown"
    assert program.result() == {number: number**2 for number in range(n_items)}
    assert recorded == set(range(n_items))
