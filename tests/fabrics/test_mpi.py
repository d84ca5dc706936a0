"""Slaves on the ranks of MPI jobs: started by a program, and beside it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines import engine
from tests.slave.puppet import wait_for_end, wait_for_news
from tracking import EngineError, InputError, SlavePool, TrackingJobMaster
from tracking.fabrics.mpi import MpiFabric, mpiexec_argv
from tracking.fabrics.ranks import Rank, RanksFabric, rank_for
from tracking.slave import ranks
from tracking.testing.contracts import FabricContract, Slaves
from tracking.wire import messages as m

TIMEOUT_S = 50


# ---- pure


def test_a_rank_finds_its_number_in_what_its_mpi_says() -> None:
    assert ranks.rank_of({"PMI_RANK": "2", "SLURM_PROCID": "0"}) == 2
    assert ranks.rank_of({"OMPI_COMM_WORLD_RANK": "7"}) == 7
    assert ranks.size_of({"OMPI_COMM_WORLD_SIZE": "8"}) == 8
    assert ranks.size_of({}) is None
    with pytest.raises(InputError, match="not started by an MPI that is known: none of PMI_RANK"):
        ranks.rank_of({"PMI_RANK": "many"})


def test_what_is_started_from_a_rank_does_not_take_itself_for_one() -> None:
    environ = {"PMI_RANK": "1", "PMI_FD": "99999", "OMPI_COMM_WORLD_SIZE": "2", "OMPI_MCA_btl": "tcp", "HOME": "/h"}
    ranks.leave_job(environ)
    assert environ == {"OMPI_MCA_btl": "tcp", "HOME": "/h"}


def test_relays_go_to_the_rank_with_the_fewest_of_those_that_live() -> None:
    first, second, third = Rank(1, {11}), Rank(2), Rank(3)
    assert rank_for([first, second, third]) is second
    second.is_gone = True
    assert rank_for([first, second, third]) is third
    third.is_gone = first.is_gone = True
    assert rank_for([first, second, third]) is None


def test_mpiexec_starts_one_relay_a_rank_and_no_secret_is_on_its_command_line() -> None:
    argv = mpiexec_argv("/mpi/bin/mpiexec", ["-host", "a,b:2"], "/home/me/ti cket", [5, 6, 9])
    assert argv[:6] == ["/mpi/bin/mpiexec", "-host", "a,b:2", "-n", "3", sys.executable]
    assert argv[-4:] == ["/home/me/ti cket", "5", "6", "9"]


# ---- bad input


def test_without_an_mpi_it_is_said_how_to_get_one() -> None:
    fabric = MpiFabric(2, mpiexec="mpiexec-that-is-not-there")
    with pytest.raises(EngineError, match=r"mpiexec-that-is-not-there not found: .*pip install 'tracking\[mpi\]'"):
        SlavePool(fabric=fabric)
    assert fabric.check(["mpi"]).keys() == {"mpi"}


def test_a_host_that_is_named_is_refused_and_it_is_said_where_to_name_it() -> None:
    with pytest.raises(InputError, match=r"MpiFabric\(hosts=\['node7'\]\)"):
        SlavePool(["node7"], fabric=MpiFabric(2, mpiexec="true"))


@pytest.mark.parametrize("n", [0, -1, 1.5, True, "2"])
def test_a_number_of_slaves_is_a_whole_number(n: object) -> None:
    with pytest.raises(InputError, match="number of slaves must be a whole number"):
        MpiFabric(n)  # type: ignore[arg-type]


def test_ranks_are_there_only_for_programs_that_mpiexec_has_started() -> None:
    with pytest.raises(EngineError, match=r"mpiexec -n N python -m tracking\.fabrics\.mpi PROGRAM"):
        RanksFabric()


# ---- fabric='mpi'


@pytest.fixture
def mpiexec() -> str:
    return engine("mpi", sys.executable)["TRACKING_MPIEXEC"]


@pytest.fixture
def engine_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in engine("mpi", sys.executable).items():
        monkeypatch.setenv(name, value)


@pytest.mark.engine
class TestMpiFabric(FabricContract):
    @pytest.fixture
    def fabric(self, mpiexec: str, engine_environment: None, tmp_path: Path) -> Iterator[MpiFabric]:
        fabric = MpiFabric(2, mpiexec=mpiexec, files=tmp_path)
        yield fabric
        fabric.close()
        assert list(tmp_path.iterdir()) == []

    def test_a_relay_that_is_killed_takes_its_slave_along_and_the_next_one_works(
        self, fabric: MpiFabric, slaves: Slaves
    ) -> None:
        pid = slaves.start(2).expect(m.HELLO)[3]
        os.kill(parent_of(pid), signal.SIGKILL)
        (ended,) = wait_for_news(fabric)
        assert ended.is_innocent
        assert re.search(r"^ +the relay of rank 0 was killed by SIGKILL$", ended.how, re.MULTILINE)
        wait_for_end(pid)
        slaves.start(3).expect(m.HELLO)

    def test_a_rank_that_is_killed_ends_its_job_in_the_words_of_mpiexec(
        self, fabric: MpiFabric, slaves: Slaves
    ) -> None:
        pid = slaves.start(2).expect(m.HELLO)[3]
        os.kill(parent_of(parent_of(pid)), signal.SIGKILL)
        (ended,) = wait_for_news(fabric)
        assert ended.is_innocent
        assert re.match(r"mpiexec has ended with status [1-9]\d*\n", ended.how)
        assert re.search("KILLED|killed|signal 9|Signal 9|EXIT CODE: 9", ended.how)
        wait_for_end(pid)


@pytest.mark.engine
def test_a_calculation_is_right_though_a_slave_is_killed(
    mpiexec: str, engine_environment: None, tmp_path: Path
) -> None:
    (tmp_path / "files").mkdir()
    fabric = MpiFabric(3, mpiexec=mpiexec, files=tmp_path / "files")
    data = {i: (i, str(tmp_path / "killed")) for i in range(30)}
    master = TrackingJobMaster(data, function=square_but_die_once, fabric=fabric, verbose=0)
    assert master.calculateResult() == {i: i * i for i in range(30)}
    assert (tmp_path / "killed").exists()
    assert list((tmp_path / "files").iterdir()) == []


@pytest.mark.engine
def test_what_mpiexec_complains_of_is_told(mpiexec: str, engine_environment: None, tmp_path: Path) -> None:
    fabric = MpiFabric(1, mpiexec=mpiexec, options=["-no-such-option"], files=tmp_path)
    with SlavePool(fabric=fabric) as pool, pytest.raises(Exception, match="mpiexec has ended with status"):
        pool.submit(pow, 2, 3).result(TIMEOUT_S)


def square_but_die_once(value: tuple[int, str]) -> int:
    number, flag = value
    if number == 7 and not os.path.exists(flag):
        open(flag, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def parent_of(pid: int) -> int:
    match = re.search(r"^PPid:\s+(\d+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert match
    return int(match[1])


# ---- mpiexec -n N python -m tracking.fabrics.mpi PROGRAM

PROGRAM = """
import os, signal, sys
from tracking import SlavePool, TrackingJobMaster

def square(value):
    if value == 7 and not os.path.exists("killed"):
        open("killed", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return value * value

def pid(value):
    return os.getpid()

def calculate(function, count):
    return TrackingJobMaster({i: i for i in range(count)}, function=function, verbose=0).calculateResult()

"""


@pytest.fixture
def run(mpiexec: str, engine_environment: None, tmp_path: Path) -> Iterator[Run]:
    run = Run(mpiexec, tmp_path)
    yield run
    for pid in run.noted():
        wait_for_end(pid)


class Run:
    """Runs programs under mpiexec; processes that they note in the file 'pids' have ended when a test is over."""

    def __init__(self, mpiexec: str, directory: Path) -> None:
        self._mpiexec, self._directory = mpiexec, directory

    def __call__(
        self, code: str, *arguments: str, ranks: int = 3, timeout_s: float = TIMEOUT_S
    ) -> subprocess.CompletedProcess[str]:
        (self._directory / "program.py").write_text(PROGRAM + code)
        root = str(Path(__file__).parents[2])
        module = [sys.executable, "-m", "tracking.fabrics.mpi", "program.py", *arguments]
        return subprocess.run(
            [self._mpiexec, "-n", str(ranks), *module],
            cwd=self._directory, env=os.environ | {"PYTHONPATH": root}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=timeout_s,
        )  # fmt: skip

    def noted(self) -> list[int]:
        file = self._directory / "pids"
        return [int(word) for word in file.read_text().split()] if file.exists() else []


@pytest.mark.engine
def test_a_program_has_the_other_ranks_for_its_slaves_and_they_survive_one_that_is_killed(run: Run) -> None:
    done = run("print(calculate(square, 30) == {i: i * i for i in range(30)}, sys.argv, __name__)", "a", "b c")
    assert (done.stdout, done.returncode) == ("True ['program.py', 'a', 'b c'] __main__\n", 0), done.stderr


@pytest.mark.engine
def test_pools_and_masters_share_the_ranks_in_turn_and_at_once(run: Run) -> None:
    done = run("""
with SlavePool() as pool, SlavePool() as other:
    print(len(pool.slaves), [p.submit(pow, 2, 5).result() for p in (pool, other)], len(calculate(square, 9)))
with SlavePool(["localhost"]) as pool:
    print(pool.submit(os.getppid).result() != os.getppid(), len(calculate(pid, 5)))
""")
    assert (done.stdout, done.returncode) == ("2 [32, 32] 9\nTrue 5\n", 0), done.stderr


@pytest.mark.engine
@pytest.mark.parametrize(
    ("ending", "status"),
    [("sys.exit(3)", 3), ("os._exit(7)", 7), ("1 / 0", 1), ("os.kill(os.getpid(), 9)", 9), ("sys.exit('no')", 1)],
)
def test_however_a_program_ends_all_ranks_end_and_its_status_is_that_of_mpiexec(
    run: Run, ending: str, status: int
) -> None:
    done = run(f"""
pool = SlavePool()
with open("pids", "w") as file:
    print(*[pool.submit(f).result() for f in (os.getpid, os.getppid) for _ in range(4)], file=file)
{ending}
""")
    assert done.returncode == status, done.stderr


@pytest.mark.engine
def test_the_traceback_of_a_program_is_its_own(run: Run) -> None:
    done = run("1 / 0")
    assert "ZeroDivisionError" in done.stderr
    assert "fabrics/mpi.py" not in done.stderr


@pytest.mark.engine
def test_a_job_without_other_ranks_works_on_its_own_machine_and_says_so(run: Run) -> None:
    done = run("print(len(calculate(square, 9)))", ranks=1)
    assert (done.stdout, done.returncode) == ("9\n", 0), done.stderr
    assert "no other ranks: slaves run on this machine" in done.stderr


@pytest.mark.engine
def test_neither_the_program_nor_its_ranks_have_mpi_in_them_which_would_burn_processor_time_while_they_wait(
    run: Run,
) -> None:
    done = run("""
def maps(pid):
    return open(f"/proc/{pid}/maps").read()

def parent_of(pid):
    return int(open(f"/proc/{pid}/status").read().split("PPid:")[1].split()[0])

with SlavePool() as pool:
    relay = pool.submit(os.getppid).result()
    print(["libmpi" in maps(pid) for pid in (os.getpid(), relay, parent_of(relay))])
""")
    assert (done.stdout, done.returncode) == ("[False, False, False]\n", 0), done.stderr


@pytest.mark.engine
def test_the_work_may_use_mpi_of_its_own(run: Run) -> None:
    done = run("""
def size(value):
    from mpi4py import MPI
    return MPI.COMM_WORLD.size
print(calculate(size, 1))
""")
    assert (done.stdout, done.returncode) == ("{0: 1}\n", 0), done.stderr


@pytest.mark.engine
def test_a_program_that_is_not_there_is_named(run: Run, mpiexec: str, tmp_path: Path) -> None:
    command = [mpiexec, "-n", "2", sys.executable, "-m", "tracking.fabrics.mpi", "nothing.py"]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": root}, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert done.returncode == 2
    assert "can't open file 'nothing.py': No such file" in done.stderr


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_ranks_of_a_program_do_what_every_fabric_must(run: Run) -> None:
    suite = str(Path(__file__).with_name("under_mpiexec.py"))
    root = str(Path(__file__).parents[2])
    code = f"""
import pytest
os.chdir({root!r})
sys.exit(pytest.main([{suite!r}, "-q", "-o", "addopts=", "-p", "no:cacheprovider", "--tb=short"]))
"""
    done = run(code, ranks=4, timeout_s=280)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
