"""Slaves as tasks of a Dask cluster."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fabrics.contract import FabricContract, Slaves
from tests.slave.puppet import wait_for_end, wait_for_news
from tracking import EngineError, InputError, SlavePool
from tracking.slave.tasks import Errand, Report, attend
from tracking.wire import messages as m

if os.environ.get("TRACKING_ENGINES_REQUIRED") != "1":
    pytest.importorskip("distributed", reason="Dask is not installed: pip install 'tracking[dask]'")

from tracking.fabrics.dask import DaskFabric  # (needs no Dask, but its tests do)
from tracking.fabrics.dask_cluster import is_readable, scheduler_of

TIMEOUT_S = 50

CLUSTER = """
import sys
from distributed import Client, LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=4, processes=sys.argv[1] == "processes", dashboard_address=None,
                      protocol="tcp", host="127.0.0.1") as cluster:
        print(cluster.scheduler_address, flush=True)
        with Client(cluster) as client:
            for line in sys.stdin:
                if line.split()[0] == "scale":
                    cluster.scale(int(line.split()[1]))
                    print("scaled", flush=True)
                else:
                    tasks = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks))
                    clients = client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.clients))
                    print(len(tasks), clients, flush=True)
"""


class Cluster:
    """A Dask cluster in a process of its own, so that its threads are not ours."""

    def __init__(self, kind: str, directory: Path) -> None:
        script = directory / "cluster.py"
        script.write_text(CLUSTER)
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        self._process = subprocess.Popen(
            [sys.executable, str(script), kind], cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, bufsize=1, env=environment,
        )  # fmt: skip
        self.address = self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def ask(self, question: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(question + "\n")
        return self._read()

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(TIMEOUT_S)
        self._process.stdout.close()


@pytest.fixture(scope="module", params=["processes", "threads"])
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(request.param, tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.close()


class TestDaskFabric(FabricContract):
    @pytest.fixture
    def fabric(self, cluster: Cluster) -> Iterator[DaskFabric]:
        fabric = DaskFabric(cluster.address)
        yield fabric
        fabric.close()
        assert cluster.ask("idle") == "0 2"  # no task is left; fire-and-forget and the cluster's own client are there

    def test_a_relay_that_is_killed_takes_its_slave_along_and_the_next_one_works(
        self, fabric: DaskFabric, slaves: Slaves
    ) -> None:
        pid = slaves.start(2).expect(m.HELLO)[3]
        os.kill(parent_of(pid), signal.SIGKILL)
        (ended,) = wait_for_news(fabric)
        assert ended.is_innocent
        assert re.search("Dask worker tcp://127.0.0.1:|lost with its host", ended.how)
        wait_for_end(pid)
        slaves.start(3).expect(m.HELLO)


def test_a_slave_for_each_thread_of_the_workers(cluster: Cluster) -> None:
    fabric = DaskFabric(cluster.address)
    assert fabric.hosts_for(None) == ["dask"] * 8
    assert fabric.hosts_for(3) == ["dask"] * 3
    fabric.close()


def test_a_worker_that_is_killed_is_named_and_its_slaves_go_on_elsewhere(tmp_path: Path) -> None:
    cluster = Cluster("processes", tmp_path)
    fabric = DaskFabric(cluster.address, 2)
    try:
        with SlavePool(fabric=fabric) as pool:
            assert pool.submit(pow, 2, 5).result(TIMEOUT_S) == 32
            pid = next(iter(pool.pids.values()))
            os.kill(parent_of(parent_of(pid)), signal.SIGKILL)
            wait_for_end(pid)
            assert [future.result(TIMEOUT_S) for future in [pool.submit(pow, 2, i) for i in range(9)]] == [
                2**i for i in range(9)
            ]
        assert cluster.ask("idle") == "0 2"
    finally:
        cluster.close()


def test_slaves_that_do_not_fit_begin_when_workers_come(tmp_path: Path) -> None:
    cluster = Cluster("processes", tmp_path)
    try:
        with SlavePool(10, fabric=DaskFabric(cluster.address)) as pool:
            assert pool.submit(pow, 2, 5).result(TIMEOUT_S) == 32
            assert len(pool.pids) <= 8
            cluster.ask("scale 3")
            while len(pool.pids) < 10:
                pool.submit(pow, 2, 5).result(TIMEOUT_S)
        assert cluster.ask("idle") == "0 2"
    finally:
        cluster.close()


def test_a_scheduler_that_does_not_answer_is_named() -> None:
    with pytest.raises(EngineError, match=r"the Dask scheduler at tcp://127\.0\.0\.1:1 does not answer"):
        SlavePool(fabric=DaskFabric("tcp://127.0.0.1:1", connect_timeout=1.0))


def test_what_is_no_cluster_is_refused_and_it_is_said_what_is_wanted() -> None:
    with pytest.raises(InputError, match="which Dask cluster\\? Give DaskFabric a client"):
        scheduler_of(3)
    with pytest.raises(InputError, match="which Dask cluster"):
        DaskFabric()


def test_a_host_that_is_named_is_refused() -> None:
    with pytest.raises(InputError, match="Dask chooses the hosts: leave out 'node7'"):
        DaskFabric("tcp://127.0.0.1:1").check_host("node7")


def test_an_errand_does_not_show_its_secrets() -> None:
    assert repr(Errand("secret", 3, "key")) == "<relay 3>"


def test_a_task_never_fails_but_reports() -> None:
    report = attend(Errand("no ticket at all", 3, "key"))
    assert isinstance(report, Report)
    assert report.how == 1
    assert b"this relay cannot work: this is no ticket" in report.printed


def parent_of(pid: int) -> int:
    match = re.search(r"^PPid:\s+(\d+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert match
    return int(match[1])
