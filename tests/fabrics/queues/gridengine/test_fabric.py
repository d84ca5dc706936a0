"""Slaves that Grid Engine starts: as arrays and in parallel environments, on a real engine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines import engine, engines_folder
from tests.slave import jobs
from tests.slave.puppet import attend, news_of, wait_for_news
from tracking import EngineError, InputError, SlavePool
from tracking.fabrics.base import SlaveConnected, SlaveEnded, SlaveSpec
from tracking.fabrics.queues.gridengine.fabric import GridEngineFabric
from tracking.testing.contracts import FabricContract, Slaves

MARK = "TRACKING_TESTED_IN"
TIMEOUT_S = 40.0

ROOT = Path(__file__).parents[4]
IMPATIENT = """#!/bin/sh
code=$3
shift 3
exec {python} -P -c "import sys; sys.path.insert(0, '{root}'); import tracking.slave.dial as dial; \\
sys.path.remove('{root}'); dial.dial_master.__defaults__ = (1.0, *dial.dial_master.__defaults__[1:]); $code" "$@"
"""
MASTER = """
import sys
from tracking import SlavePool
from tracking.fabrics import GridEngineFabric
pool = SlavePool(fabric=GridEngineFabric(20, files=sys.argv[1], job_name="killed_master"))
print(pool.submit(abs, -1).result(), flush=True)
sys.stdin.read()
"""

Make = Callable[..., GridEngineFabric]


@pytest.fixture
def grid(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Three hosts of four slots each, each with a network and process numbers of its own; its variables are set."""
    variables = engine("sge")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes fabrics, closes them, and sees that nothing is left."""
    fabrics: list[GridEngineFabric] = []

    def made(n: int | None = None, **options: Any) -> GridEngineFabric:
        setup = ["ulimit -c 0", f"{MARK}={tmp_path}", f"export {MARK}", *options.pop("setup", [])]
        fabrics.append(GridEngineFabric(n, files=tmp_path / "files", setup=setup, **options))
        return fabrics[-1]

    yield made
    for fabric in fabrics:
        fabric.close()
    if fabrics and (tmp_path / "files").exists():
        assert list((tmp_path / "files").iterdir()) == []


@pytest.fixture
def repaired(grid: dict[str, str]) -> Iterator[None]:
    """The engine is made well again."""
    yield
    subprocess.run([engines_folder() / "sge-up"], check=True, capture_output=True, timeout=50)


def answer(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30).stdout.strip()


def wait_until(is_so: Callable[[], Any], fabric: GridEngineFabric | None = None) -> None:
    """Ask the engine until this is so, or let a fabric that is at work do its part."""
    end = time.monotonic() + TIMEOUT_S
    while not is_so():
        assert time.monotonic() < end, f"not within {TIMEOUT_S} s: {fabric and fabric.waiting_for()!r}"
        if fabric is not None:
            attend(fabric)


def process_on_a_node(pid: int, mark: str) -> int:
    """The number here of a process of the test that has this number on its node."""
    words = f"{MARK}={mark}\0".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            numbers = (process / "status").read_text().split("NSpid:")[1].split("\n")[0].split()
            if len(numbers) > 1 and int(numbers[-1]) == pid and words in (process / "environ").read_bytes():
                return int(process.name)
        except OSError:
            continue  # it has ended
    raise AssertionError(f"there is no process {pid} on any node")


class OnNodes(FabricContract):
    @pytest.fixture(autouse=True)
    def _mark(self, tmp_path: Path) -> None:
        self.mark = str(tmp_path)

    def pid_here(self, pid: int) -> int:
        return process_on_a_node(pid, self.mark)


@pytest.mark.engine
@pytest.mark.usefixtures("grid")
class TestArrayOfGridEngine(OnNodes):
    @pytest.fixture
    def fabric(self, make: Make) -> GridEngineFabric:
        return make()


@pytest.mark.engine
@pytest.mark.usefixtures("grid")
class TestParallelEnvironmentOfGridEngine(OnNodes):
    @pytest.fixture
    def fabric(self, make: Make) -> GridEngineFabric:
        return make(parallel_environment="spread")


# ---- before anything is started


@pytest.mark.engine
def test_as_many_slaves_as_there_are_free_slots_where_nobody_says_how_many(make: Make, grid: dict[str, str]) -> None:
    wait_until(lambda: not answer("qstat", "-u", "*"))
    assert make().hosts_for(None) == ["gridengine"] * int(grid["TRACKING_SGE_SLOTS"])
    assert make(7).hosts_for(None) == ["gridengine"] * 7


def test_where_grid_engine_is_not_installed_it_says_so(monkeypatch: pytest.MonkeyPatch, make: Make) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    words = "qsub not found: is Grid Engine installed on this machine? (SGE_ROOT, PATH)"
    assert make().check(["gridengine"]) == {"gridengine": words}
    with pytest.raises(EngineError, match="qsub not found: is Grid Engine installed on this machine"):
        make().hosts_for(None)


@pytest.mark.parametrize(
    "wrong", [{"n": 0}, {"job_name": "1st"}, {"job_name": "a/b"}, {"time": "soon"}, {"time": 0}, {"port": -1}]
)
def test_what_cannot_be_is_refused(make: Make, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        make(**wrong)


def test_grid_engine_chooses_the_hosts(make: Make) -> None:
    make().check_host("gridengine")
    with pytest.raises(InputError, match=r"Grid Engine chooses the nodes itself.*queue='all.q@node1'"):
        make().check_host("node1")


# ---- what the engine says


@pytest.mark.engine
@pytest.mark.usefixtures("grid")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"parallel_environment": "nonsense"}, 'the requested parallel environment "nonsense" does not exist'),
        ({"queue": "nonsense.q"}, 'job requests unknown queue "nonsense.q"'),
        ({"project": "nonsense"}, 'the requested project "nonsense" does not exist'),
        ({"resources": {"nonsense": 1}}, 'unknown resource "nonsense"'),
    ],
)
def test_what_it_refuses_is_told_in_its_own_words(make: Make, options: dict[str, Any], words: str) -> None:
    fabric = make(**options)
    with pytest.raises(EngineError, match="Grid Engine would refuse these jobs") as caught:
        fabric.hosts_for(None)
    assert words in str(caught.value)
    assert fabric.check(["gridengine"]) == {"gridengine": str(caught.value)}
    how = how_it_ends(fabric)
    assert words in how
    assert how.startswith("Grid Engine has refused the job")


@pytest.mark.engine
@pytest.mark.usefixtures("grid")
def test_a_job_that_can_never_run_is_told_of_with_its_reason_and_removed(make: Make) -> None:
    fabric = make(options=["-o", "/nonexistent/output"], job_name="hopeless")
    assert "can't open output file" in how_it_ends(fabric)
    wait_until(lambda: "hopeless" not in answer("qstat", "-u", "*"), fabric)


@pytest.mark.engine
@pytest.mark.usefixtures("grid")
def test_what_goes_wrong_before_a_relay_runs_is_shown(make: Make) -> None:
    fabric = make(setup=["echo this node has no licence >&2", "exit 5"])
    fabric.start(SlaveSpec(2, "grid_2", "gridengine"))
    (ended,) = wait_for_news(fabric)
    assert "exit status 5" in ended.how
    assert "on node" in ended.how
    assert ended.printed == b"this node has no licence\n"
    assert ended.is_innocent


@pytest.mark.engine
@pytest.mark.usefixtures("grid")
@pytest.mark.parametrize("options", [{}, {"parallel_environment": "spread"}])
def test_a_node_that_cannot_reach_the_master_is_named_with_what_to_set(
    make: Make, tmp_path: Path, options: dict[str, Any]
) -> None:
    (python := tmp_path / "impatient python").write_text(IMPATIENT.format(python=sys.executable, root=ROOT))
    python.chmod(0o755)
    how = how_it_ends(make(reachable_as=["10.213.1.77:9"], python=str(python), **options))
    assert "Grid Engine job" in how
    assert "on node" in how
    assert "10.213.1.77 port 9" in how
    assert "reachable_as=" in how


@pytest.mark.engine
@pytest.mark.usefixtures("grid")
def test_a_slave_knows_when_the_time_of_its_job_is_up(make: Make) -> None:
    (connected,) = bring_up(make(time="0:10:00"), 2)
    assert connected.left_s is not None
    assert 500 < connected.left_s <= 600
    assert connected.host.startswith("node")
    close_lines(connected)


@pytest.mark.engine
@pytest.mark.usefixtures("grid")
def test_jobs_wait_while_the_cluster_is_full_and_it_says_so(make: Make, tmp_path: Path) -> None:
    script = tmp_path / "others.sh"
    script.write_text("sleep 600\n")
    options = ["-t", "1-12", "-N", "others", "-S", "/bin/sh", "-o", "/dev/null", "-j", "y"]
    others = answer("qsub", "-terse", *options, str(script))
    fabric = make(2)
    try:
        wait_until(lambda: answer("qstat", "-s", "r").count("others") == 12)
        for tid in (2, 3):
            assert fabric.start(SlaveSpec(tid, f"grid_{tid}", "gridengine")) is None
        wait_until(lambda: fabric.waiting_for() == "2 of 2 jobs wait in Grid Engine's queue", fabric)
    finally:
        answer("qdel", others.partition(".")[0])
    news: list[Any] = []
    wait_until(lambda: news.extend(news_of(fabric)) or len(news) == 2, fabric)
    for connected in news:
        close_lines(connected)
    assert fabric.waiting_for() == ""


@pytest.mark.engine
@pytest.mark.usefixtures("grid")
@pytest.mark.parametrize("options", [{}, {"parallel_environment": "spread"}])
def test_a_job_that_is_deleted_from_outside_is_told_of(make: Make, options: dict[str, Any]) -> None:
    name = f"doomed_{len(options)}"  # that of the other run of this test may be in the queue yet
    fabric = make(job_name=name, **options)
    with slaves_of(fabric, 2):
        job = running(name)[0].split()[0]
        answer("qdel", job)
        (ended,) = wait_for_news(fabric)
    assert ended.is_innocent
    assert ended.how.startswith(f"Grid Engine job {job}")


@pytest.mark.engine
@pytest.mark.usefixtures("grid")
def test_at_the_end_nothing_is_in_the_queue_not_even_what_was_just_submitted(make: Make) -> None:
    fabric = make(job_name="brief")
    fabric.start(SlaveSpec(2, "grid_2", "gridengine"))
    fabric.poll()
    fabric.close()
    wait_until(lambda: "brief" not in answer("qstat", "-u", "*"))


@pytest.mark.engine
@pytest.mark.usefixtures("grid")
def test_jobs_of_a_master_that_was_killed_end_and_its_folder_goes_when_the_next_one_comes(
    make: Make, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", MASTER, str(tmp_path / "files")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as master:
        assert master.stdout is not None
        assert master.stdout.readline() == b"1\n"
        master.kill()
    (left,) = (tmp_path / "files").iterdir()
    job = (left / "jobs").read_text().strip()
    fabric = make(job_name="killed_master")
    with slaves_of(fabric, 2):
        assert not left.exists()
        wait_until(lambda: f" {job} " not in answer("qstat", "-u", "*"), fabric)


@pytest.mark.engine
@pytest.mark.usefixtures("grid")
@pytest.mark.parametrize("options", [{}, {"parallel_environment": "spread"}])
def test_a_pool_works_on_all_hosts(make: Make, options: dict[str, Any]) -> None:
    seen: set[str] = set()
    with SlavePool(fabric=make(12, **options)) as pool:  # the engine starts jobs one after the other
        wait_until(lambda: seen.update(pool.map(_host_slowly, range(24))) or len(seen) == 3)
    assert seen == {"node1", "node2", "node3"}


def _host_slowly(_: int) -> str:
    time.sleep(0.1)
    return socket.gethostname()


# ---- several hosts in one job


@pytest.mark.engine
@pytest.mark.usefixtures("grid")
def test_a_parallel_environment_spreads_one_job_over_all_hosts(make: Make) -> None:
    fabric = make(7, parallel_environment="spread", job_name="wide")
    connected = bring_up(fabric, *range(2, 9))
    assert {slave.host for slave in connected} == {"node1", "node2", "node3"}
    assert len(running("wide")) == 1
    for slave in connected:
        close_lines(slave)


@pytest.mark.engine
@pytest.mark.usefixtures("repaired")
def test_a_host_of_a_parallel_environment_that_dies_takes_only_its_own_slaves(
    make: Make, grid: dict[str, str]
) -> None:
    fabric = make(6, parallel_environment="spread", job_name="wide_6")
    connected = bring_up(fabric, *range(2, 8))
    first = running("wide_6")[0].partition("@")[2].split()[0]
    lost = next(slave.host for slave in connected if slave.host != first)
    kill_node(grid, lost)
    ended = wait_for_news(fabric, 2)
    assert {slave.tid for slave in ended} == {slave.tid for slave in connected if slave.host == lost}
    assert all(slave.is_innocent for slave in ended)
    for slave in connected:
        close_lines(slave)


# ---- nodes that die


@pytest.mark.engine
@pytest.mark.usefixtures("repaired")
def test_a_node_that_dies_is_noticed_at_once_and_its_slave_is_innocent(make: Make, grid: dict[str, str]) -> None:
    fabric = make(queue="all.q@node3")
    with slaves_of(fabric, 2):
        kill_node(grid, "node3")
        (ended,) = wait_for_news(fabric)
    assert ended.is_innocent
    assert "on node3: its line is cut, though in the queue it is " in ended.how


@pytest.mark.engine
@pytest.mark.usefixtures("repaired")
def test_a_node_that_is_cut_off_is_noticed_when_it_is_silent(make: Make) -> None:
    fabric = make(queue="all.q@node3")
    fabric.launcher.silence_s = 2.0
    with slaves_of(fabric, 2):
        answer("ip", "link", "set", "trg3", "down")
        try:
            (ended,) = wait_for_news(fabric)
        finally:
            answer("ip", "link", "set", "trg3", "up")
    assert ended.is_innocent
    assert "on node3: its line is cut, though in the queue it is " in ended.how


# ---- help


def how_it_ends(fabric: GridEngineFabric) -> str:
    fabric.start(SlaveSpec(2, "grid_2", "gridengine"))
    (ended,) = wait_for_news(fabric)
    assert isinstance(ended, SlaveEnded)
    return ended.how


def running(name: str) -> list[str]:
    """The lines of the queue that are of jobs of this name."""
    return [line for line in answer("qstat", "-s", "r").split("\n") if f" {name} " in line]


def bring_up(fabric: GridEngineFabric, *tids: int) -> list[SlaveConnected]:
    for tid in tids:
        fabric.start(SlaveSpec(tid, f"grid_{tid}", "gridengine"))
    news: list[Any] = []
    wait_until(lambda: news.extend(news_of(fabric)) or len(news) >= len(tids), fabric)
    assert all(isinstance(each, SlaveConnected) for each in news), news
    return news


def close_lines(connected: SlaveConnected) -> None:
    connected.lines.line.close()
    connected.lines.control.close()
    assert connected.lines.output is not None
    os.close(connected.lines.output)


def kill_node(grid: dict[str, str], node: str) -> None:
    os.kill(int(Path(grid["TRACKING_SGE_DIR"], f"{node}.pid").read_text().split()[0]), signal.SIGKILL)


class slaves_of:  # noqa: N801  (read as a function)
    """A slave that works, for as long as this lasts."""

    def __init__(self, fabric: GridEngineFabric, tid: int) -> None:
        self._slaves = Slaves(fabric)
        self._tid = tid

    def __enter__(self) -> None:
        self._slaves.start(self._tid).set_up(jobs.square)

    def __exit__(self, *_: object) -> None:
        self._slaves.close()
