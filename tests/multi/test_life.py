"""Programs from their beginning to their exit status."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engines import engine
from tests.slave.puppet import wait_for_end

PROGRAM = """
import os, sys
from tracking.multi import *
from tracking.multi import processor as module
from tests.multi.commands import Kept, Keep

class Square(Slave_command):
    def __init__(self, number):
        self.number = number
    def run(self, processor, completed):
        print("computing", self.number)
        value = self.number ** 2, processor.rank(), os.getpid()
        processor.return_object(Keep(processor, value, completed, self.memo_id))

class Broken(Result_command):
    def run(self, processor, memo):
        1 / 0

class ReturnBroken(Slave_command):
    def run(self, processor, completed):
        processor.return_object(Broken(processor, completed, self.memo_id))

class Master:
    def run(self):
        processor = Processor_box().processor
        memo = Kept()
        for number in range(20):
            processor.add_to_queue(Square(number), memo)
        processor.run_queue()
        assert sorted(value for value, _, _ in memo.values) == [n * n for n in range(20)]
        with open("pids", "w") as file:
            print(*{pid for _, _, pid in memo.values}, file=file)
        sys.stdout.write(f"ranks fine {processor.processor_size()}\\n")
        sys.stdout.flush()
        ending(processor)

def ending(processor):
    ENDING

processor = load_multiprocessor(sys.argv[1], Application_callback(Master()), int(sys.argv[2]), 1)
RUN
print("behind run")
"""
ENDINGS = [
    ("pass", 0),
    ("sys.exit()", 0),
    ("sys.exit(5)", 5),
    ("sys.exit('no')", 1),
    ("raise ValueError('crash')", 1),
    ("processor.exit(4)", 4),
    ("processor.abort()", 1),
    ("processor.add_to_queue(ReturnBroken()); processor.run_queue()", 1),
    ("os._exit(7)", 7),
]


class Run:
    """Runs the program; slaves that it has noted have ended when it is over."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self,
        name: str,
        size: int,
        ending: str,
        *before: str,
        run: str = "processor.run()",
        module: tuple[str, ...] = (),
    ) -> subprocess.CompletedProcess[str]:
        (self.folder / "program.py").write_text(PROGRAM.replace("ENDING", ending).replace("RUN", run))
        root = str(Path(__file__).parents[2])
        done = subprocess.run(
            [*before, sys.executable, *module, "program.py", name, str(size)],
            cwd=self.folder, env=os.environ | {"PYTHONPATH": root}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=50,
        )  # fmt: skip
        pids = self.folder / "pids"
        for pid in pids.read_text().split() if pids.exists() and name != "uni" else ():
            wait_for_end(int(pid))
        return done


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


@pytest.mark.parametrize(("ending", "status"), ENDINGS)
def test_the_status_of_a_program_is_its_own(run: Run, ending: str, status: int) -> None:
    done = run("local", 2, ending)
    assert done.returncode == status, done.stderr
    assert "behind run" not in done.stdout
    assert "ranks fine 2" in done.stdout
    if "crash" in ending or "ReturnBroken" in ending:
        assert done.stderr.count("Traceback") == 1, done.stderr
    else:
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("ending", "status"),
    [("pass", 0), ("sys.exit(5)", 5), ("raise ValueError('crash')", 1), ("processor.abort()", 1)],
)
def test_the_status_of_a_program_on_one_processor_too(run: Run, ending: str, status: int) -> None:
    done = run("uni", 1, ending)
    assert done.returncode == status, done.stderr
    assert ("behind run" in done.stdout) is (status == 0)


def test_a_program_can_be_profiled_as_of_old(run: Run) -> None:
    done = run("local", 1, "pass", run="import cProfile; cProfile.runctx('processor.run()', globals(), locals())")
    assert done.returncode == 0, done.stderr
    assert re.search(r"\d+ function calls", done.stdout)


@pytest.mark.parametrize("name", ["local", "uni"])
def test_commands_that_were_queued_and_forgotten_are_told(run: Run, name: str) -> None:
    done = run(name, 1, "processor.add_to_queue(ReturnBroken())")
    assert done.stderr.count("1 queued commands were never run: run_queue() is missing") == 1


@pytest.mark.parametrize("name", ["local", "uni"])
@pytest.mark.parametrize(
    ("script", "times"),
    [
        ("[processor.add_to_queue(ReturnBroken()) for _ in range(8)]", 1),
        ("processor.add_to_queue(Square(3), Kept()); processor.run_queue()", 0),
        ("processor.add_to_queue(ReturnBroken()); raise ValueError('crash')", 0),  # it would have run it later
        ("processor.add_to_queue(ReturnBroken()); Master.run = lambda self: sys.exit(5); processor.run()", 0),
        ("processor.add_to_queue(ReturnBroken()); os.fork() or sys.exit(); os.wait()", 1),
    ],
)
def test_a_script_without_run_that_forgets_run_queue_is_told_when_it_ends(
    run: Run, name: str, script: str, times: int
) -> None:
    done = run(name, 1, "pass", run=script)
    assert done.stderr.count("queued commands were never run: run_queue() is missing") == times, done.stderr
    assert ("8 queued commands were never run" in done.stderr) is ("range(8)" in script)


def test_what_is_queued_behind_run_and_forgotten_is_told_too(run: Run) -> None:
    done = run("uni", 1, "pass", run="processor.run(); processor.add_to_queue(ReturnBroken())")
    assert "behind run" in done.stdout
    assert done.stderr.count("1 queued commands were never run") == 1


def test_where_mpi_does_not_work_it_is_said_how_to_get_it(run: Run) -> None:
    (run.folder / "mpi4py").mkdir()
    (run.folder / "mpi4py" / "__init__.py").write_text("raise ImportError('not here')")
    done = run("mpi4py", -1, "pass", "env", "PMI_RANK=0", "PMI_SIZE=3", "PMI_FD=")
    assert done.returncode == 1
    assert "EngineError: mpi4py does not work here" in done.stderr
    assert "pip install 'tracking[mpi]'" in done.stderr


# ---- under mpiexec


@pytest.fixture
def mpiexec(monkeypatch: pytest.MonkeyPatch) -> str:
    environment = engine("mpi", sys.executable)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment["TRACKING_MPIEXEC"]


@pytest.mark.engine
@pytest.mark.parametrize(("ending", "status"), ENDINGS)
def test_the_status_of_a_program_under_mpiexec_is_its_own(run: Run, mpiexec: str, ending: str, status: int) -> None:
    done = run("mpi4py", 2, ending, mpiexec, "-n", "3")
    assert done.returncode == status, done.stderr
    assert done.stdout.count("ranks fine 2") == 1
    assert "behind run" not in done.stdout


@pytest.mark.engine
def test_a_program_that_is_interrupted_under_mpiexec_says_so_by_its_status(run: Run, mpiexec: str) -> None:
    done = run("mpi4py", 2, "raise KeyboardInterrupt", mpiexec, "-n", "3")
    assert done.returncode == 130, done.stdout
    assert done.stderr.count("\nKeyboardInterrupt\n") == 1
    assert "ranks fine 2" in done.stdout


@pytest.mark.engine
@pytest.mark.parametrize("slaves", [1, 2, 10])
def test_a_program_runs_with_so_many_ranks_of_mpi(run: Run, mpiexec: str, slaves: int) -> None:
    done = run("mpi4py", -1, "pass", mpiexec, "-n", str(slaves + 1))
    assert done.returncode == 0, done.stderr
    assert f"ranks fine {slaves}\n" in done.stdout
    width = len(str(slaves))
    prefix = r" *\d+  \| " if slaves > 1 else ""
    lines = re.findall(rf"^({prefix})computing \d+$", done.stdout, re.MULTILINE)
    assert len(lines) == 20
    assert {len(line) for line in lines} == {width + 4 if slaves > 1 else 0}


@pytest.mark.engine
def test_another_number_of_slaves_than_mpi_has_is_told_once(run: Run, mpiexec: str) -> None:
    done = run("mpi4py", 5, "pass", mpiexec, "-n", "3")
    assert done.returncode == 0
    assert done.stderr.count("warning: 5 slaves were asked for, but mpiexec has started 2") == 1


@pytest.mark.engine
@pytest.mark.parametrize("own", ["", "from mpi4py import MPI\n"])
def test_a_master_that_fails_before_run_ends_all_ranks(run: Run, mpiexec: str, own: str) -> None:
    done = run("mpi4py", -1, "pass", mpiexec, "-n", "3", run=f"{own}processor.rank() or sys.exit(3)\nprocessor.run()")
    assert done.returncode == 3, done.stderr
    assert "ranks fine" not in done.stdout


@pytest.mark.engine
def test_the_program_works_without_a_rank_that_failed_before_run(run: Run, mpiexec: str) -> None:
    early = "processor.rank() == 2 and sys.exit(0)\nprocessor.run()"
    done = run("mpi4py", -1, "sys.exit(9)", mpiexec, "-n", "3", run=early)
    assert done.returncode == 9, done.stderr
    assert "ranks fine 2" in done.stdout


@pytest.mark.engine
def test_ranks_that_are_there_for_slaves_already_are_used(run: Run, mpiexec: str) -> None:
    module = ("-m", "tracking.fabrics.mpi")
    done = run("mpi4py", -1, "sys.exit(9)", mpiexec, "-n", "3", module=module)
    assert done.returncode == 9, done.stderr
    assert "ranks fine 2" in done.stdout


@pytest.mark.engine
def test_one_rank_is_too_few(run: Run, mpiexec: str) -> None:
    done = run("mpi4py", -1, "pass", mpiexec, "-n", "1")
    assert done.returncode == 1
    assert "Too_few_slaves_exception: the mpi4py processor needs at least 2 ranks" in done.stderr


@pytest.mark.engine
def test_a_program_that_has_begun_with_mpi_itself_runs_too(run: Run, mpiexec: str) -> None:
    begin = "from mpi4py import MPI; sys.stdout.write(f'rank {MPI.COMM_WORLD.rank}\\n'); processor.run()"
    done = run("mpi4py", -1, "sys.exit(6)", mpiexec, "-n", "3", run=begin)
    assert done.returncode == 6, done.stderr
    assert sorted(re.findall(r"rank (\d)\n", done.stdout)) == ["0", "1", "2"]
    assert "ranks fine 2" in done.stdout


@pytest.mark.engine
def test_a_slave_that_is_killed_under_mpiexec_is_replaced(run: Run, mpiexec: str) -> None:
    ending = """
    from tests.multi.commands import KillOnce
    memo = Kept()
    for number in range(6):
        processor.add_to_queue(KillOnce(number, os.path.abspath("killed")), memo)
    processor.run_queue()
    print("after", sorted(memo.values))
"""
    done = run("mpi4py", -1, ending.strip(), mpiexec, "-n", "3")
    assert done.returncode == 0, done.stderr
    assert "after [0, 1, 4, 9, 16, 25]" in done.stdout
