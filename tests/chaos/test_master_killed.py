"""The master is killed and started again, at random moments, while its slaves are struck, too."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from tests.chaos.storm import seed
from tests.master.helpers import PATIENCE_S, ROOT, is_alive, wait_until
from tracking.store.run_reader import RunFileReader

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


class Restarted:
    """The program above, over one run file."""

    def __init__(self, folder: Path, n_items: int, item_s: float) -> None:
        self._folder = folder
        self._arguments = [str(folder), str(n_items), str(item_s)]
        self.run = 0
        self.redone: Counter[int] = Counter()

    def start(self) -> subprocess.Popen[bytes]:
        self.run += 1
        environment = os.environ | {"PYTHONPATH": str(ROOT), "CHAOS_RUN": str(self.run)}
        (self._folder / "program.py").write_text(PROGRAM)
        argv = [sys.executable, str(self._folder / "program.py"), *self._arguments]
        return subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)

    def recorded(self) -> set[int]:
        path = self._folder / "it.run"
        return {int(str(id)) for id, _ in RunFileReader(path).results()} if path.exists() else set()

    def begun(self) -> set[int]:
        """Items that the last run has begun."""
        log = self._folder / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        return {int(number) for run, number in map(str.split, lines) if run == str(self.run)}

    def wait_for_slaves(self) -> None:
        pids = self._folder / "pids"
        seen = {int(pid) for pid in pids.read_text().split()} if pids.exists() else set()
        wait_until(lambda: not any(is_alive(pid) for pid in seen), "the end of all slaves")
        pids.unlink(missing_ok=True)

    def result(self) -> dict[int, int]:
        return dict(json.loads((self._folder / "result.json").read_text()))


@pytest.mark.parametrize(
    ("kills", "within_s", "n_items", "item_s"),
    [(2, 0.9, 80, 0.1), pytest.param(20, 1.8, 2000, 0.06, marks=[pytest.mark.slow, pytest.mark.timeout(300)])],
)
def test_nothing_recorded_is_lost_or_computed_again(
    tmp_path: Path, kills: int, within_s: float, n_items: int, item_s: float
) -> None:
    chance = random.Random(seed())
    program = Restarted(tmp_path, n_items, item_s)
    n_killed, recorded = 0, set[int]()
    while not (tmp_path / "result.json").exists():
        process = program.start()
        try:
            with suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0.3, within_s) if n_killed < kills else 4 * PATIENCE_S)
        finally:
            process.kill()
            status = process.wait()
        assert status in (0, -signal.SIGKILL)
        n_killed += status != 0
        program.wait_for_slaves()
        again = program.begun() & recorded
        assert not again, f"computed again although recorded: {again} (run {program.run})"
        now = program.recorded()
        assert recorded <= now, "what was recorded is lost"
        recorded = now
        assert n_killed <= kills, "the last run has not come to its end"
    assert n_killed == kills, "it was over before the last kill: nothing is shown"
    assert program.result() == {number: number**2 for number in range(n_items)}
    assert recorded == set(range(n_items))
