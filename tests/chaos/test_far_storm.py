"""Far hosts crash or are cut off, their relays are stopped or killed: every result is right, and there once."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.far_storm import ENGINE, FarStorm, Nodes
from tests.chaos.restarted import Restarted
from tests.chaos.storm import seed
from tests.chaos.work import Answers, answer, answer_slowly
from tests.engines import engine
from tests.pool.helpers import wait_for_slaves
from tracking import SlavePool, TrackingJobMaster
from tracking.fabrics import registry
from tracking.fabrics.ssh.fabric import SshFabric

HOSTS = ["localhost*2", "node1*2", "node2*2", "node3*2"]
SLAVES = 8
STORM_S = float(os.environ.get("CHAOS_SECONDS") or 60)
RETURN_S = 90.0  # a host that was lost is tried at least once a minute

pytestmark = [pytest.mark.slow, pytest.mark.engine, pytest.mark.timeout(420)]


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    found = Nodes(engine(*ENGINE))
    found.repair()
    yield found
    found.repair()


@pytest.fixture
def config(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of ssh; from now on all ssh fabrics use it."""
    path = engine(*ENGINE)["TRACKING_SSH_CONFIG"]
    make = registry._make
    ssh = lambda: SshFabric(path, python=sys.executable)  # noqa: E731
    monkeypatch.setattr(registry, "_make", lambda name: ssh() if name == "ssh" else make(name))
    return path


def in_a_storm(nodes: Nodes, n_items: int, **options: Any) -> int:
    """Calculations one after the other until the storm is over, then one on all hosts; how many."""
    options = {"verbose": 0, "max_deaths": None} | options
    n_rounds = 0
    with SlavePool(HOSTS, max_deaths=None, host_failures=None) as pool:
        wait_for_slaves(pool, SLAVES)

        def round_is_right() -> None:
            data = {number: (n_rounds, number) for number in range(n_items)}
            came = list(TrackingJobMaster(data, pool=pool, **options))
            assert Counter(id for id, _ in came) == Counter(list(data)), "an item is missing, or there twice"
            assert dict(came) == {id: answer(value) for id, value in data.items()}

        with FarStorm(nodes, STORM_S, lambda: local_pids(pool)) as storm:
            while not storm.is_over:
                round_is_right()
                n_rounds += 1
        wait_for_slaves(pool, SLAVES, RETURN_S)  # also those on hosts that are back
        round_is_right()
    nodes.wait_for_end(30.0)
    return n_rounds


def local_pids(pool: SlavePool) -> list[int]:
    return [pid for nickname, pid in pool.pids.items() if nickname.startswith("localhost")]


@pytest.mark.usefixtures("config")
def test_every_result_of_a_function_in_chunks_is_right_and_there_once(nodes: Nodes) -> None:
    assert in_a_storm(nodes, 4000, function=answer_slowly, chunk_size="auto")


@pytest.mark.usefixtures("config")
def test_every_result_of_a_slave_class_is_right_and_there_once(nodes: Nodes) -> None:
    assert in_a_storm(nodes, 4000, slave_script=Answers, chunk_size=10)


PROGRAM = """
import json, os, sys
from pathlib import Path
from tests.chaos.work import logged_answer
from tracking import TrackingJobMaster
from tracking.fabrics import registry
from tracking.fabrics.ssh.fabric import SshFabric

here, n_items, item_s, config = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
make = registry._make
ssh = SshFabric(config, python=sys.executable, environment={"CHAOS_RUN": os.environ["CHAOS_RUN"]})
registry._make = lambda name: ssh if name == "ssh" else make(name)
data = {n: (str(here / "log"), n, item_s) for n in range(n_items)}
master = TrackingJobMaster(data, 1, ["localhost*2", "node1*2", "node2*2", "node3*2"], function=logged_answer,
                           max_deaths=None, host_failures=None, verbose=0, run_file=here / "it.run")
result = {}
for id, value in master:
    assert id not in result, f"{id} came twice"
    result[id] = value
assert not master.errors, master.errors
(here / "result.json").write_text(json.dumps(sorted(result.items())))
"""


def test_a_master_killed_again_and_again_in_a_storm_computes_nothing_that_is_recorded_again(
    tmp_path: Path, nodes: Nodes, config: str
) -> None:
    kills, n_items = 5, 3000
    chance = random.Random(seed())
    own_config = tmp_path / "ssh_config"  # the engine's own is not there while its nodes are repaired
    own_config.write_bytes(Path(config).read_bytes())
    program, recorded, n_killed = Restarted(tmp_path, PROGRAM, n_items, 0.1, own_config), set[int](), 0
    with FarStorm(nodes, 3600):
        while not program.is_done():
            process = program.start()
            try:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(chance.uniform(3, 9) if n_killed < kills else 240)
            finally:
                process.kill()
                status = process.wait()
            assert status in (0, -signal.SIGKILL)
            n_killed += status != 0
            nodes.wait_for_end(80.0)
            again = program.begun() & recorded
            assert not again, f"computed again although recorded: {again} (run {program.run})"
            now = program.recorded()
            assert recorded <= now, "what was recorded is lost"
            recorded = now
    assert n_killed == kills, "it was over before the last kill: nothing is shown"
    assert program.result() == {number: number**2 for number in range(n_items)}
