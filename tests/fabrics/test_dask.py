"""Slaves as tasks of a Dask cluster."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.fabrics.dask_clusters import TIMEOUT_S, Cluster
from tests.pool.helpers import wait_for_slaves
from tests.slave import jobs
from tests.slave.puppet import wait_for_end, wait_for_news
from tracking import EngineError, InputError, SlavePool, TrackingJobMaster
from tracking.slave.tasks import Errand, Report, attend
from tracking.testing.contracts import FabricContract, Slaves
from tracking.wire import messages as m

if os.environ.get("TRACKING_ENGINES_REQUIRED") != "1":
    pytest.importorskip("distributed", reason="Dask is not installed: pip install 'tracking[dask]'")

from tracking.fabrics.dask import DaskFabric  # (needs no Dask, but its tests do)
from tracking.fabrics.dask_cluster import scheduler_of


@pytest.fixture(scope="module", params=["processes", pytest.param("threads", marks=pytest.mark.slow)])
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """For relays it is one whether workers are processes or threads of one: that no worker is a process, the slow
    ones show.
    """
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), request.param)
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def harmed_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Workers of which may be killed: there are others soon."""
    cluster = Cluster(tmp_path_factory.mktemp("harmed"))
    yield cluster
    cluster.close()


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.close()


class TestDaskFabric(FabricContract):
    @pytest.fixture
    def fabric(self, cluster: Cluster) -> Iterator[DaskFabric]:
        fabric = DaskFabric(cluster.address)
        yield fabric
        fabric.close()
        cluster.wait_until("idle", "0 2")  # no task is left; fire-and-forget and the cluster's own client are there

    def test_a_relay_that_is_killed_takes_its_slave_along_and_the_next_one_works(
        self, fabric: DaskFabric, slaves: Slaves
    ) -> None:
        pid = slaves.start(2).expect(m.HELLO)[3]
        os.kill(parent_of(pid), signal.SIGKILL)
        (ended,) = wait_for_news(fabric)
        assert ended.is_innocent
        assert re.fullmatch(r"relay on Dask worker tcp://127\.0\.0\.1:\d+: killed by SIGKILL", ended.how)
        wait_for_end(pid)
        slaves.start(3).expect(m.HELLO)


def test_a_slave_for_each_thread_of_the_workers(cluster: Cluster) -> None:
    fabric = DaskFabric(cluster.address)
    assert fabric.hosts_for(None) == ["dask"] * 8
    assert fabric.hosts_for(3) == ["dask"] * 3
    fabric.close()


def test_a_worker_that_is_killed_is_named_and_its_slaves_are_innocent(harmed_cluster: Cluster) -> None:
    fabric = DaskFabric(harmed_cluster.address)
    slaves = Slaves(fabric)
    try:
        pid = slaves.start(2).expect(m.HELLO)[3]
        harmed_cluster.wait_until("idle", "1 3")  # so the scheduler has told where that one task is
        os.kill(parent_of(parent_of(pid)), signal.SIGKILL)
        (ended,) = wait_for_news(fabric)
        assert ended.is_innocent
        assert re.fullmatch(r"Dask worker tcp://127\.0\.0\.1:\d+ has left the cluster", ended.how)
        wait_for_end(pid)
    finally:
        slaves.close()
        fabric.close()


def test_slaves_of_a_worker_that_is_killed_go_on_elsewhere(harmed_cluster: Cluster) -> None:
    with SlavePool(fabric=DaskFabric(harmed_cluster.address, 2)) as pool:
        assert pool.submit(pow, 2, 5).result(TIMEOUT_S) == 32
        pid = next(iter(pool.pids.values()))
        os.kill(parent_of(parent_of(pid)), signal.SIGKILL)
        wait_for_end(pid)
        assert [future.result(TIMEOUT_S) for future in [pool.submit(pow, 2, i) for i in range(9)]] == [
            2**i for i in range(9)
        ]
    harmed_cluster.wait_until("idle", "0 2")


def test_slaves_that_do_not_fit_begin_when_workers_come(harmed_cluster: Cluster) -> None:
    with (
        closing(DaskFabric(harmed_cluster.address)) as fabric,
        SlavePool(10, fabric=fabric) as pool,
        socket.create_server(("127.0.0.1", 0)) as server,
        ExitStack() as at_work,
    ):
        server.settimeout(TIMEOUT_S)
        futures = [pool.submit(jobs.meet, server.getsockname()) for _ in range(10)]
        for _ in range(8):
            at_work.enter_context(server.accept()[0])
        assert len(pool.pids) == 8
        harmed_cluster.ask("scale 3")
        for _ in range(2):
            at_work.enter_context(server.accept()[0])
        assert len(pool.pids) == 10
        at_work.close()
        assert len({future.result(TIMEOUT_S) for future in futures}) == 10
    harmed_cluster.wait_until("idle", "0 2")


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_slaves_follow_a_cluster_that_grows_and_shrinks_during_a_calculation(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = Cluster(tmp_path, workers=1)
    data = {n: (n, str(tmp_path / "hurry")) for n in range(20_000)}
    try:
        with SlavePool(fabric=DaskFabric(cluster.address)) as pool:
            master = TrackingJobMaster(data, function=square_at_leisure, pool=pool, verbose=0, chunk_size=1)
            master.start()
            results = iter(master)
            for count, words in ((4, "scale 3"), (12, "scale 1")):
                while len(pool.pids) != count:
                    next(results)
                cluster.ask(words)
            while len(pool.pids) != 4:
                next(results)
            assert cluster.ask("threads") == "4"
            Path(tmp_path / "hurry").touch()
            assert master.calculateResult() == {n: n * n for n in data}
            assert master.errors == {}
            assert pool._crew.trouble() == ()
        cluster.wait_until("idle", "0 2")
        assert [record for record in caplog.records if record.name == "tracking"] == []
    finally:
        cluster.close()


@pytest.mark.slow
def test_where_all_workers_are_gone_slaves_come_back_with_them_and_nothing_more_is_left_in_the_queue(
    own_cluster: Cluster,
) -> None:
    with SlavePool(fabric=DaskFabric(own_cluster.address)) as pool:
        assert pool.submit(pow, 2, 5).result(TIMEOUT_S) == 32
        own_cluster.ask("scale 0")
        for pid in pool.pids.values():
            wait_for_end(pid)
        future = pool.submit(pow, 2, 6)
        own_cluster.ask("scale 1")
        assert future.result(TIMEOUT_S) == 64
        wait_for_slaves(pool, 4, TIMEOUT_S)
        while own_cluster.ask("idle") != "4 3":
            pool.submit(pow, 2, 5).result(TIMEOUT_S)
    own_cluster.wait_until("idle", "0 2")


def square_at_leisure(value: tuple[int, str]) -> int:
    number, hurry = value
    if not os.path.exists(hurry):
        time.sleep(0.05)
    return number * number


def test_it_is_said_once_that_others_could_read_what_dask_sends(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        DaskFabric("tcp://10.213.9.9:8786").close()
    assert [record.message for record in caplog.records] == [
        "Dask's own lines at tcp://10.213.9.9:8786 are not encrypted: who can read them can learn the key of the "
        "slaves' lines; on a network that others can read, give Dask a Security with TLS"
    ]


def test_nothing_is_said_of_lines_that_nobody_else_can_read(caplog: pytest.LogCaptureFixture) -> None:
    for address in ("tls://10.213.9.8:8786", "tcp://127.0.0.1:8786", "localhost:8786", "inproc://10.0.0.1/2/3"):
        DaskFabric(address).close()
    DaskFabric("tcp://10.213.9.8:8786", is_encrypted=False).close()
    assert not caplog.records


ASYNCHRONOUS = """
import asyncio, sys
from distributed import Client, LocalCluster
from tracking import InputError, SlavePool
from tracking.fabrics.dask import DaskFabric

def try_with(given):
    try:
        with SlavePool(2, fabric=DaskFabric(given)) as pool:
            print(pool.submit(pow, 2, 5).result(50))
    except InputError as error:
        print(error)

async def main():
    try_with(Client("tcp://127.0.0.1:1", asynchronous=True, set_as_default=False))
    async with Client(sys.argv[1], asynchronous=True) as client:
        try_with(client)
    async with LocalCluster(n_workers=0, processes=False, asynchronous=True, dashboard_address=":0") as cluster:
        try_with(cluster)

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_what_is_asynchronous_works_or_it_is_said_what_to_do(cluster: Cluster, tmp_path: Path) -> None:
    Path(tmp_path, "program.py").write_text(ASYNCHRONOUS)
    own = {"PYTHONPATH": str(Path(__file__).parents[2]), "DASK_TEMPORARY_DIRECTORY": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "program.py", cluster.address], cwd=tmp_path, capture_output=True, text=True,
        timeout=TIMEOUT_S, stdin=subprocess.DEVNULL, env=os.environ | own,
    )  # fmt: skip
    unconnected, worked, unreachable = done.stdout.splitlines()
    assert "Give DaskFabric a client that is connected" in unconnected
    assert worked == "32", "a client whose event loop stands still meanwhile"
    assert "lives in the event loop of this thread, which stands still" in unreachable
    assert "asyncio.to_thread" in unreachable


def test_a_scheduler_that_does_not_answer_is_named() -> None:
    with pytest.raises(EngineError, match=r"the Dask scheduler at tcp://127\.0\.0\.1:1 does not answer"):
        SlavePool(fabric=DaskFabric("tcp://127.0.0.1:1", connect_timeout=0.2))


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
