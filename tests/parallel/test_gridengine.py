"""The two arrays of a Grid Engine: their texts, on an engine of paper, and on a real one."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engines import engine
from tests.parallel import work
from tests.parallel.conftest import ManagerOf
from tracking.parallel import LocalSlave, Manager, SGEPESlaveArray, SGEQsubSlaveArray
from tracking.parallel.gridengine import array_script, qrsh_line, qsub_line

QSUB = """#!/bin/sh
echo "$@" > {folder}/qsub.args
cat > {folder}/job.sh
n=${{5#*-}}; for word; do last=$word; done; n=${{last#1-}}
echo "Your job-array 4242.1-$n:1 (\\"STDIN\\") has been submitted"
i=1
while [ $i -le $n ]; do
    SGE_TASK_ID=$i setsid {shell} {folder}/job.sh < /dev/null > {folder}/sge-errors.$i 2>&1 &
    i=$((i + 1))
done
"""
QDEL = '#!/bin/sh\necho "$@" >> {folder}/qdel.args\n'
QRSH = '#!/bin/sh\necho "$@" >> {folder}/qrsh.args\nshift 3\nexec /bin/sh -c "$*"\n'
DASH = "/bin/dash" if os.path.exists("/bin/dash") else "/bin/sh"


@pytest.fixture
def paper_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Grid Engine that runs its jobs here; the folder where it notes what it was told."""
    folder = tmp_path / "engine"
    folder.mkdir()
    for name, text in (("qsub", QSUB), ("qdel", QDEL), ("qrsh", QRSH)):
        path = folder / name
        path.write_text(text.format(folder=folder, shell=DASH))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


# ---- texts


def test_the_options_of_the_user_come_before_the_standard_ones() -> None:
    array = SGEQsubSlaveArray(3, "-l h_rt=3600 -q long")
    line = qsub_line(array._options, array.standard_options, 3)
    assert line == "qsub -S /bin/sh -l h_rt=3600 -q long -j y -cwd -r n -o sge-errors -t 1-3"


@pytest.mark.parametrize("shell", sorted({"/bin/sh", DASH}))
def test_the_script_of_an_array_runs_in_any_shell(shell: str, tmp_path: Path) -> None:
    outputs = [str(tmp_path / f"out {n}") for n in range(12)]
    script = array_script("echo module loaded; echo run", [f"{n}:{n + 70}" for n in range(12)], outputs)
    for task in (1, 9, 12):
        subprocess.run([shell], input=script, text=True, check=True, env={"SGE_TASK_ID": str(task)}, cwd=tmp_path)
        assert Path(outputs[task - 1]).read_text() == f"run {task - 1}:{task + 69}\n"


def test_the_words_behind_qrsh_survive_a_shell_that_reads_them_again() -> None:
    line = qrsh_line("node1", "echo 'a  b'; echo $X")
    (*_, host, text) = shlex.split(line)
    assert host == "node1"
    said = subprocess.run(["/bin/sh", "-c", text], capture_output=True, text=True, check=True, env={"X": "c"}).stdout
    assert said == "a  b\nc\n"


# ---- on paper


def test_an_array_is_submitted_once_and_deleted_when_the_manager_ends(
    manager_of: ManagerOf, paper_engine: Path, own_folder: Path
) -> None:
    manager, array = manager_of(host="localhost"), SGEQsubSlaveArray(2, "-q long")
    manager.add_slave(array)
    context = manager.get_context(work.three)
    for n in range(10):
        context.add_task(work.Add(n))
    assert not (paper_engine / "qsub.args").exists()
    assert sorted(context.get_results_unordered()) == list(range(6, 16))
    assert (paper_engine / "qsub.args").read_text().split()[-2:] == ["-t", "1-2"]
    slaves = list(manager._hub.slaves.values())
    assert [repr(slave) for slave in slaves] == ["<SGE qsub slave, ID 4242.1>", "<SGE qsub slave, ID 4242.2>"]
    assert (own_folder / "slave1.output").exists()
    manager.close()
    assert (paper_engine / "qdel.args").read_text() == "4242\n"


def test_the_command_that_submits_an_array_and_its_reply_are_printed_if_so_wanted(
    paper_engine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Manager(host="localhost", verbose=True) as manager:
        manager.add_slave(SGEQsubSlaveArray(1, "-q long"))
        assert list(manager.get_context(None).map(len, ["ab"])) == [2]
    said = capsys.readouterr().out
    assert "qsub -S /bin/sh -q long -j y -cwd -r n -o sge-errors -t 1-1\n" in said
    assert "4242" in said


def test_a_slave_that_was_not_submitted_is_not_known() -> None:
    (slave,) = SGEQsubSlaveArray(1)._get_slaves()
    assert repr(slave) == "<SGE qsub slave, (unknown)>"


def test_the_secret_is_not_in_the_script(manager_of: ManagerOf, paper_engine: Path, tmp_path: Path) -> None:
    manager = manager_of(host="localhost")
    manager.add_slave(SGEQsubSlaveArray(1))
    context = manager.get_context()
    context.add_task(work.pid)
    assert len(list(context.get_results_unordered())) == 1
    (ticket,) = (tmp_path / "home" / ".tracking").glob("parallel-*/ticket")
    key = ticket.read_text().partition('"key": "')[2].partition('"')[0]
    assert key not in (paper_engine / "job.sh").read_text() + (paper_engine / "qsub.args").read_text()


def test_a_qsub_that_fails_is_an_error_with_its_status_and_words(manager_of: ManagerOf, paper_engine: Path) -> None:
    (paper_engine / "qsub").write_text("#!/bin/sh\necho 'Unable to run job: no suitable queues.' >&2\nexit 1\n")
    manager = manager_of(0)
    manager.add_slave(SGEQsubSlaveArray(2))
    context = manager.get_context()
    context.add_task(work.pid)
    with pytest.raises(OSError, match=r"Process failed with exit status 1: Unable to run job"):
        list(context.get_results_unordered())


def test_a_qsub_that_is_not_there_is_named(
    manager_of: ManagerOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    manager = manager_of(0)
    manager.add_slave(SGEQsubSlaveArray(1))
    context = manager.get_context()
    context.add_task(work.pid)
    with pytest.raises(OSError, match=r"exit status 127.*qsub.*not found"):
        list(context.get_results_unordered())


def test_a_parallel_environment_has_a_slave_a_slot_the_first_of_them_local(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hosts").write_text("node1 2 all.q@node1 UNDEFINED\nnode2 1 all.q@node2\n\n")
    monkeypatch.setenv("PE_HOSTFILE", str(tmp_path / "hosts"))
    first, *others = SGEPESlaveArray()._get_slaves()
    assert type(first) is LocalSlave
    assert [slave._host for slave in others] == ["node1", "node2"]
    assert repr(others[1]) == "<SGE PE slave on node2>"


def test_outside_of_a_parallel_environment_that_is_said(
    manager_of: ManagerOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PE_HOSTFILE", raising=False)
    manager = manager_of(0)
    manager.add_slave(SGEPESlaveArray())
    with pytest.raises(KeyError, match="PE_HOSTFILE"):
        list(manager.get_context().get_results_unordered())


def test_the_slaves_of_a_parallel_environment_work(
    manager_of: ManagerOf, paper_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hosts").write_text("node1 2 all.q@node1 UNDEFINED\nnode2 1 all.q@node2\n")
    monkeypatch.setenv("PE_HOSTFILE", str(tmp_path / "hosts"))
    manager = manager_of(0, host="localhost")
    manager.add_slave(SGEPESlaveArray())
    context = manager.get_context(work.three)
    for n in range(20):
        context.add_task(work.Add(n))
    assert sorted(context.get_results_unordered()) == list(range(6, 26))
    while len(lines := (paper_engine / "qrsh.args").read_text().splitlines()) < 2:
        context.add_task(work.Add(0))
        list(context.get_results_unordered())
    assert sorted(line.split()[:3] for line in lines) == [["-inherit", "-V", "node1"], ["-inherit", "-V", "node2"]]


# ---- on a real engine

PROGRAM = """
import socket, sys, time
sys.path.insert(0, {root!r})
from tracking.parallel import Manager, SGEPESlaveArray

def where():
    time.sleep(0.2)
    return socket.gethostname()

with Manager() as manager:
    manager.add_slave(SGEPESlaveArray())
    context = manager.get_context()
    seen = set()
    while len(seen) < 2:
        for _ in range(8):
            context.add_task(where)
        seen |= set(context.get_results_unordered())
    print("HOSTS", *sorted(seen), flush=True)
"""
ROOT = Path(__file__).parents[2]


@pytest.fixture
def grid(monkeypatch: pytest.MonkeyPatch, own_folder: Path) -> dict[str, str]:
    variables = engine("sge")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.mark.engine
@pytest.mark.usefixtures("grid")
def test_an_array_works_on_a_real_engine_and_leaves_no_job(manager_of: ManagerOf) -> None:
    manager = manager_of(0)
    manager.add_slave(SGEQsubSlaveArray(3))
    context = manager.get_context(work.three)
    for n in range(20):
        context.add_task(work.Add(n))
    assert sorted(context.get_results_unordered()) == list(range(6, 26))
    job = next(iter(manager._hub.slaves.values()))._job_id.partition(".")[0]
    assert job.isdigit()
    manager.close()
    while subprocess.run(["qstat", "-j", job], capture_output=True, check=False).returncode == 0:
        pass


@pytest.mark.engine
@pytest.mark.usefixtures("grid")
def test_a_parallel_environment_works_on_a_real_engine(own_folder: Path) -> None:
    (own_folder / "program.py").write_text(PROGRAM.format(root=str(ROOT)))
    script = f"#!/bin/sh\ncd {own_folder}\nexec {sys.executable} program.py\n"
    done = subprocess.run(
        ["qsub", "-sync", "y", "-S", "/bin/sh", "-cwd", "-V", "-j", "y", "-o", "program.out", "-pe", "spread", "6"],
        input=script, text=True, capture_output=True, check=False, timeout=100,
    )  # fmt: skip
    said = (own_folder / "program.out").read_text() if (own_folder / "program.out").exists() else ""
    assert done.returncode == 0, f"{done.stdout}{done.stderr}{said}"
    hosts = said.partition("HOSTS ")[2].splitlines()[0].split()
    assert len(hosts) >= 2, said
