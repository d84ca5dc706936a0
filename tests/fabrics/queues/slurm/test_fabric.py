"""Slaves as jobs of Slurm."""

from __future__ import annotations

import logging
import os
import select
import shutil
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
from tracking.fabrics.base import SlaveConnected, SlaveSpec
from tracking.fabrics.queues.slurm.fabric import SlurmFabric
from tracking.testing.contracts import FabricContract, Slaves
from tracking.wire import messages as m

MARK = "TRACKING_TESTED_IN"
TIMEOUT_S = 40.0
ROOT = Path(__file__).parents[4]
IMPATIENT = """#!/bin/sh
code=$3
shift 3
exec {python} -P -c "import sys; sys.path.insert(0, '{root}'); import tracking.slave.dial as dial; \\
sys.path.remove('{root}'); dial.dial_master.__defaults__ = (1.0, *dial.dial_master.__defaults__[1:]); $code" "$@"
"""


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """Three nodes of four CPUs each, each with a network and process numbers of its own; its variables are set."""
    variables = engine("slurm", "-m", "netns")
    for name, value in {**variables, MARK: str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture
def make(slurm: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., SlurmFabric]]:
    """Makes fabrics, closes them, and sees that nothing is left."""
    fabrics: list[SlurmFabric] = []

    def made(n: int | None = None, **options: Any) -> SlurmFabric:
        fabrics.append(SlurmFabric(n, **{"files": tmp_path / "files", **options}))
        return fabrics[-1]

    yield made
    for fabric in fabrics:
        fabric.close()
    if fabrics and (tmp_path / "files").exists():
        assert list((tmp_path / "files").iterdir()) == []


@pytest.fixture
def repaired() -> Iterator[None]:
    """The engine is made well again."""
    yield
    subprocess.run([engines_folder() / "slurm-up", "-m", "netns"], check=True, capture_output=True, timeout=50)


def answer(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30).stdout.strip()


def wait_until(fabric: SlurmFabric, is_so: Callable[[], Any]) -> Any:
    """Let the fabric do its part until this is so; what it then is."""
    end = time.monotonic() + TIMEOUT_S
    while not (found := is_so()):
        assert time.monotonic() < end, f"not within {TIMEOUT_S} s; waiting for: {fabric.waiting_for()!r}"
        within_s = fabric.poll_within_s()
        select.select(list(fabric.descriptors()), [], [], 0.5 if within_s is None else min(0.5, within_s))
        attend(fabric, None, 0.0)
    return found


def ended(fabric: SlurmFabric, tid: int = 2) -> str:
    """How the slave has ended that ended next."""
    (news,) = wait_for_news(fabric)
    assert news.tid == tid
    assert news.is_innocent
    return news.how


@pytest.mark.engine
class TestSlurmFabric(FabricContract):
    @pytest.fixture
    def fabric(self, make: Callable[..., SlurmFabric]) -> SlurmFabric:
        return make(setup="ulimit -c 0")  # slaves that crash on purpose leave nothing

    def pid_here(self, pid: int) -> int:
        mark = f"{MARK}={os.environ[MARK]}\0".encode()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                numbers = (process / "status").read_text().split("NSpid:")[1].split("\n")[0].split()
                if int(numbers[-1]) == pid and len(numbers) > 1 and mark in (process / "environ").read_bytes():
                    return int(process.name)
            except OSError:
                continue  # it has ended
        raise AssertionError(f"there is no process {pid} on any node")


# ---- what is chosen and refused before anything is started


@pytest.mark.engine
def test_as_many_slaves_as_there_are_idle_cpus(make: Callable[..., SlurmFabric], slurm: dict[str, str]) -> None:
    cpus = int(slurm["TRACKING_SLURM_CPUS"])
    end = time.monotonic() + TIMEOUT_S
    while answer("squeue", "-h"):  # jobs of the test before are ending
        assert time.monotonic() < end
    assert make().hosts_for(None) == ["slurm"] * cpus
    assert make(cpus_per_slave=3).hosts_for(None) == ["slurm"] * (cpus // 3)
    assert make(5).hosts_for(None) == ["slurm"] * 5
    assert make(5).hosts_for(3) == ["slurm"] * 3


@pytest.mark.engine
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"partition": "nix"}, "Invalid partition name specified"),
        ({"constraint": "nix"}, "Invalid feature specification"),
        ({"cpus_per_slave": 99}, "Requested node configuration is not available"),
        ({"memory": "90G"}, "Requested node configuration is not available"),
        ({"options": ["--no-such-option"]}, "unrecognized option '--no-such-option'"),
    ],
)
def test_what_slurm_would_refuse_is_refused_at_once_in_its_words(
    make: Callable[..., SlurmFabric], options: dict[str, Any], words: str
) -> None:
    fabric = make(2, job_name="refused", **options)
    with pytest.raises(EngineError, match="Slurm would refuse these jobs") as caught:
        fabric.hosts_for(None)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert fabric.check(["slurm"]) == {"slurm": str(caught.value)}
    fabric.start(SlaveSpec(2, "slurm_2", "slurm"))
    assert ended(fabric).startswith(("Slurm has refused the job", "Slurm job"))  # the latter "will never start"
    fabric.close()
    assert answer("squeue", "-h", "-n", "refused") == ""


def test_where_slurm_is_not_installed_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    fabric = SlurmFabric(2, files=tmp_path)
    words = "sbatch not found: is Slurm installed on this machine?"
    with pytest.raises(EngineError) as caught:
        fabric.hosts_for(None)
    assert str(caught.value) == words
    assert fabric.check(["slurm"]) == {"slurm": words}
    fabric.start(SlaveSpec(2, "slurm_2", "slurm"))
    assert words in ended(fabric)
    fabric.close()
    assert list(tmp_path.iterdir()) == []


def test_the_script_can_be_shown_without_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    fabric = SlurmFabric(8, partition="short", time=90, files=tmp_path / "none")
    lines = fabric.job_script().splitlines()
    assert lines[0] == "#!/bin/sh"
    assert "#SBATCH --array=0-7" in lines
    assert "#SBATCH --time=0-00:01:30" in lines
    assert "--slots 1" in lines[-1]
    assert not (tmp_path / "none").exists()
    assert "#SBATCH --array=0-31" in SlurmFabric(files=tmp_path / "none").job_script()


@pytest.mark.parametrize("wrong", [{"n": 0}, {"n": "4"}, {"n": True}, {"time": "soon"}, {"memory": -1}])
def test_what_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        SlurmFabric(**wrong)


def test_slurm_chooses_the_nodes(tmp_path: Path) -> None:
    fabric = SlurmFabric(files=tmp_path)
    fabric.check_host("slurm")
    with pytest.raises(InputError, match=r"Slurm chooses the nodes itself.*--nodelist=node1"):
        fabric.check_host("node1")


# ---- the ends of jobs


@pytest.mark.engine
def test_a_job_that_is_cancelled_from_outside_is_told_of_in_words(
    make: Callable[..., SlurmFabric], slurm: dict[str, str]
) -> None:
    fabric = make(job_name="cancelled_from_outside")
    slaves = Slaves(fabric)
    slaves.start(2)
    job = answer("squeue", "-h", "-r", "-t", "R", "-o", "%i", "-n", "cancelled_from_outside")
    answer("scancel", job)
    how = ended(fabric)
    assert how.startswith(f"Slurm job {job} on node")
    assert "CANCELLED (cancelled from outside: by scancel, or by an administrator)" in how
    slaves.close()


@pytest.mark.engine
def test_jobs_wait_in_the_queue_while_the_cluster_is_full_and_it_says_so(
    make: Callable[..., SlurmFabric], slurm: dict[str, str]
) -> None:
    others = answer("sbatch", "--parsable", "-n12", "-J", "others", "-o", "/dev/null", "--wrap=sleep 600")
    fabric = make(2, partition="debug")
    try:
        wait_until(fabric, lambda: answer("squeue", "-h", "-t", "R", "-o", "%i", "-j", others))
        for tid in (2, 3):
            assert fabric.start(SlaveSpec(tid, f"slurm_{tid}", "slurm")) is None
        words = ("2 of 2 jobs wait in the queue of partition debug: Resources", "Priority")
        wait_until(fabric, lambda: any(word in fabric.waiting_for() for word in words))
    finally:
        answer("scancel", others)
    news: list[Any] = []
    wait_until(fabric, lambda: news.extend(news_of(fabric)) or len(news) == 2)
    assert all(isinstance(connected, SlaveConnected) and connected.host for connected in news)
    assert fabric.waiting_for() == ""
    for connected in news:
        close_lines(connected)


def close_lines(connected: SlaveConnected) -> None:
    connected.lines.line.close()
    connected.lines.control.close()
    assert connected.lines.output is not None
    os.close(connected.lines.output)


@pytest.mark.engine
def test_a_slave_knows_when_the_time_of_its_job_is_up(make: Callable[..., SlurmFabric]) -> None:
    fabric = make(time="10")
    fabric.start(SlaveSpec(2, "slurm_2", "slurm"))
    (connected,) = wait_until(fabric, lambda: news_of(fabric))
    assert 500 < connected.left_s <= 600
    assert connected.host.startswith("node")
    close_lines(connected)


@pytest.mark.engine
def test_a_node_that_cannot_reach_the_master_is_named_with_what_to_set(
    make: Callable[..., SlurmFabric], tmp_path: Path
) -> None:
    (python := tmp_path / "impatient python").write_text(IMPATIENT.format(python=sys.executable, root=ROOT))
    python.chmod(0o755)
    fabric = make(reachable_as=["10.213.2.77:9"], python=str(python))
    fabric.start(SlaveSpec(2, "slurm_2", "slurm"))
    how = ended(fabric)
    assert "Slurm job" in how
    assert "on node" in how
    assert "10.213.2.77" in how
    assert "reachable_as" in how


@pytest.mark.engine
def test_what_goes_wrong_before_a_relay_runs_is_shown(make: Callable[..., SlurmFabric]) -> None:
    fabric = make(setup=["echo this node has no licence >&2", "exit 5"])
    fabric.start(SlaveSpec(2, "slurm_2", "slurm"))
    (news,) = wait_for_news(fabric)
    assert "FAILED (exit status 5)" in news.how
    assert news.printed == b"this node has no licence\n"


@pytest.mark.engine
def test_a_node_that_does_not_see_the_folder_says_what_to_set(make: Callable[..., SlurmFabric]) -> None:
    fabric = make(options=["--begin=now+1"])
    fabric.start(SlaveSpec(2, "slurm_2", "slurm"))
    wait_until(fabric, lambda: "wait" in fabric.waiting_for())
    shutil.rmtree(fabric.launcher.folder.path)
    assert "files=... names another" in ended(fabric)


# ---- nodes that die


@pytest.mark.engine
@pytest.mark.usefixtures("repaired")
def test_a_node_that_dies_is_noticed_at_once_and_its_slave_is_innocent(
    make: Callable[..., SlurmFabric], slurm: dict[str, str]
) -> None:
    fabric = make(options=["--nodelist=node3"])
    fabric.launcher.silence_s = 3600.0  # it is not by its silence
    slaves = Slaves(fabric)
    slaves.start(2)
    node = int(Path(slurm["TRACKING_SLURM_DIR"], "node3.pid").read_text().split()[0])
    os.kill(node, signal.SIGKILL)
    assert "node3" in ended(fabric)
    slaves.close()


@pytest.mark.engine
@pytest.mark.usefixtures("repaired")
def test_a_node_that_is_cut_off_is_noticed_when_it_is_silent(
    make: Callable[..., SlurmFabric], slurm: dict[str, str]
) -> None:
    fabric = make(options=["--nodelist=node3"])
    fabric.launcher.silence_s = 2.0
    slaves = Slaves(fabric)
    puppet = slaves.start(2)
    puppet.expect(m.HELLO)
    answer("ip", "link", "set", "trs3", "down")
    try:
        assert "node3" in ended(fabric)
    finally:
        answer("ip", "link", "set", "trs3", "up")
    slaves.close()


@pytest.mark.engine
@pytest.mark.usefixtures("repaired")
def test_a_calculation_outlives_a_node(make: Callable[..., SlurmFabric], slurm: dict[str, str]) -> None:
    with SlavePool(fabric=make(12, job_name="outlives")) as pool:
        results = pool.map(_square_slowly, range(200))
        first = [next(results) for _ in range(12)]
        os.kill(int(Path(slurm["TRACKING_SLURM_DIR"], "node3.pid").read_text().split()[0]), signal.SIGKILL)
        assert [*first, *results] == [number * number for number in range(200)]


def _square_slowly(number: int) -> int:
    time.sleep(0.1)
    return number * number


# ---- what it leaves


@pytest.mark.engine
def test_at_the_end_nothing_is_in_the_queue_not_even_what_was_just_submitted(
    make: Callable[..., SlurmFabric],
) -> None:
    fabric = make(job_name="at_the_end")
    for tid in range(2, 22):  # more than there are CPUs
        fabric.start(SlaveSpec(tid, f"slurm_{tid}", "slurm"))
    fabric.poll()
    fabric.close()
    states = answer("squeue", "-h", "-r", "-n", "at_the_end", "-o", "%T").split()
    assert set(states) <= {"COMPLETING"}


MASTER = """
import sys
from tracking import SlavePool
from tracking.fabrics.queues.slurm.fabric import SlurmFabric
fabric = SlurmFabric(20, files=sys.argv[1], job_name="killed_master", port=0)
pool = SlavePool(fabric=fabric)
print(pool.submit(abs, -1).result(), flush=True)
sys.stdin.read()
"""


@pytest.mark.engine
def test_jobs_of_a_master_that_was_killed_end_and_its_folder_goes_when_the_next_one_comes(
    make: Callable[..., SlurmFabric], tmp_path: Path
) -> None:
    files = tmp_path / "files"
    with subprocess.Popen(
        [sys.executable, "-c", MASTER, str(files)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as master:
        assert master.stdout is not None
        assert master.stdout.readline() == b"1\n"
        master.kill()
    (left,) = files.iterdir()
    fabric = make(job_name="killed_master")
    slaves = Slaves(fabric)
    slaves.start(2)
    assert not left.exists()
    mine = fabric.launcher._tasks.living_jobs()
    wait_until(
        fabric,
        lambda: set(answer("squeue", "-h", "-n", "killed_master", "-o", "%F").split()) <= set(mine),
    )
    slaves.close()


@pytest.mark.engine
def test_a_pool_works_on_all_nodes_also_where_its_master_is_itself_in_a_job(
    make: Callable[..., SlurmFabric], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "7", "SLURM_MEM_PER_CPU": "9999999"}.items():
        monkeypatch.setenv(name, value)
    with SlavePool(fabric=make(12)) as pool:
        assert pool.submit(jobs.square, 3).result() == 9
        seen = set(pool.map(_host_slowly, range(60)))
    assert seen == {"node1", "node2", "node3"}


@pytest.mark.engine
def test_a_slave_with_two_cpus_has_two_threads(make: Callable[..., SlurmFabric]) -> None:
    with SlavePool(fabric=make(1, cpus_per_slave=2)) as pool:
        assert pool.submit(os.getenv, "OPENBLAS_NUM_THREADS").result() == "2"


def _host_slowly(_: int) -> str:
    time.sleep(0.1)
    return socket.gethostname()


# ---- a controller that has other things to do


@pytest.mark.engine
def test_a_controller_that_does_not_answer_is_told_of_once_and_ends_nothing(
    make: Callable[..., SlurmFabric],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "squeue").write_text("#!/bin/sh\necho 'slurm_load_jobs error: Socket timed out' >&2; exit 1\n")
    (tmp_path / "squeue").chmod(0o755)
    fabric = make(options=["--begin=now+3600"])
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    fabric.start(SlaveSpec(2, "slurm_2", "slurm"))
    with caplog.at_level(logging.WARNING, "tracking"):
        wait_until(fabric, lambda: "Slurm does not answer: slurm_load_jobs error" in fabric.waiting_for())
        wait_until(fabric, lambda: fabric.launcher._pace.due_in(time.monotonic()) > 1.5)
    assert len(caplog.records) == 1
    assert news_of(fabric) == []
