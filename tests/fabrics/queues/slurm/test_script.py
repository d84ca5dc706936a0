"""What is asked of Slurm, as text."""

from __future__ import annotations

import os
import shlex
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tracking.errors import InputError
from tracking.fabrics.queues.engine import Order
from tracking.fabrics.queues.slurm.script import Request, clean_environment, memory_limit, time_limit

GOLDEN = """\
#!/bin/sh
#SBATCH --job-name=mine
#SBATCH --array=0-7
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=2
#SBATCH --partition=short
#SBATCH --time=1:00:00
#SBATCH --mem=4G
#SBATCH --account=physics
#SBATCH --qos=low
#SBATCH '--constraint=a&b'
#SBATCH '--chdir=/home/me/my data'
#SBATCH '--output=/home/me/100%% sure/relays-1.%a'
#SBATCH --export=ALL
#SBATCH --no-requeue
#SBATCH --gres=gpu:1
if [ ! -r '/home/me/100% sure/ticket' ]; then
    echo "$(uname -n): "'/home/me/100% sure/ticket'" is not there: the master has ended" >&2
    exit 0
fi
module load gcc
if [ -n "$SLURM_JOB_END_TIME" ]; then
"""
REQUEST = Request(
    partition="short",
    time="1:00:00",
    memory="4G",
    cpus_per_slave=2,
    account="physics",
    qos="low",
    constraint="a&b",
    options=("--gres=gpu:1",),
    python="/opt/my python",
    directory="/home/me/my data",
    setup=("module load gcc",),
    job_name="mine",
)


def order(count: int, folder: str | Path) -> Order:
    """For relays with numbers of which each has a meaning of its own."""
    return Order(tuple(range(41, 41 + 3 * count, 3)), f"{folder}/ticket", f"{folder}/relays-1")


def test_all_that_was_asked_for_is_in_the_script() -> None:
    assert REQUEST.script(order(8, "/home/me/100% sure")).startswith(GOLDEN)


def test_what_was_not_asked_for_is_not_in_it() -> None:
    options = Request(job_name="x").sbatch_options(order(1, "/f"))
    assert [option.partition("=")[0] for option in options] == [
        "--job-name", "--array", "--ntasks", "--cpus-per-task", "--chdir", "--output", "--export", "--no-requeue",
    ]  # fmt: skip
    assert f"--chdir={os.getcwd()}" in options


def run_script(request: Request, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script as a node would, with a Python that prints its arguments, and a squeue that prints $LEFT."""
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    for name, text in (("squeue", 'echo "$LEFT"; echo "$@" >&2'), ("my python", 'shift 3; echo "$@"')):
        (bin_folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (bin_folder / name).chmod(0o755)
    return subprocess.run(
        ["/bin/sh"],
        input=request.script(order(8, folder)),
        env={
            "PATH": f"{bin_folder}:{os.environ['PATH']}", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=30,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("left", "seconds"),
    [
        ("0:59", 59), ("1:00:08", 3608), ("2-03:04:05", 183845), ("UNLIMITED", None), ("INVALID", None), ("", None),
        ("NOT_SET", None),
    ],
)  # fmt: skip
def test_on_a_node_it_starts_a_relay_that_knows_its_number_and_its_time(
    left: str, seconds: int | None, tmp_path: Path
) -> None:
    (tmp_path / "ticket").touch()
    request = Request(python=str(tmp_path / "bin" / "my python"))
    done = run_script(request, tmp_path, LEFT=left)
    limit = "" if seconds is None else f"--left-s {seconds} "
    assert (done.returncode, done.stdout) == (0, f"--slots 1 {limit}{tmp_path}/ticket 50\n")


def test_newer_slurm_says_itself_when_the_time_is_up(tmp_path: Path) -> None:
    (tmp_path / "ticket").touch()
    request = Request(python=str(tmp_path / "bin" / "my python"), directory="/my work")
    done = run_script(request, tmp_path, SLURM_JOB_END_TIME="99999999999", LEFT="0:59")
    assert done.stdout.startswith("--directory /my work --slots 1 --left-s 9")


def test_the_lines_of_the_user_come_first(tmp_path: Path) -> None:
    (tmp_path / "ticket").touch()
    done = run_script(Request(python="$nothing", setup=("set -e", "echo 'ready'", "exit 4")), tmp_path)
    assert (done.returncode, done.stdout) == (4, "ready\n")


def test_a_job_that_starts_when_the_master_is_gone_ends_quietly(tmp_path: Path) -> None:
    done = run_script(Request(python="/nothing"), tmp_path)
    assert done.returncode == 0
    assert "ticket is not there: the master has ended" in done.stderr


def test_quotes_and_blanks_in_every_path_survive(tmp_path: Path) -> None:
    folder = tmp_path / "it's \"here\" $HOME"
    folder.mkdir()
    (folder / "ticket").touch()
    done = run_script(Request(python=str(folder / "bin" / "my python")), folder, LEFT="")
    assert done.stdout == f"--slots 1 {folder}/ticket 50\n"
    lines = REQUEST.script(order(1, folder)).splitlines()
    assert f"--output={folder}/relays-1.%a" in [word for line in lines[1:16] for word in shlex.split(line[1:])]


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (None, None), (90, "0-00:01:30"), (0.2, "0-00:00:01"), (timedelta(days=2, hours=3), "2-03:00:00"), ("90", "90"),
        ("1:30:00", "1:30:00"), ("2-12", "2-12"), ("2-12:30", "2-12:30"), ("unlimited", "unlimited"),
    ],
)  # fmt: skip
def test_a_time_limit_is_written_as_slurm_reads_it(time: Any, text: str | None) -> None:
    assert time_limit(time) == text


@pytest.mark.parametrize("time", ["", "soon", "1h", 0, -1, True, float("inf"), float("nan"), [], "1:2:3:4"])
def test_what_is_no_time_is_refused(time: Any) -> None:
    with pytest.raises(InputError, match="time must be seconds"):
        time_limit(time)


def test_memory_is_written_as_slurm_reads_it() -> None:
    assert [memory_limit(memory) for memory in (None, "4G", "500m", 1 << 30, 1025)] == [
        None, "4G", "500m", "1048576K", "2K",
    ]  # fmt: skip
    for wrong in ("", "4 GB", 0, -1, True, 1.5):
        with pytest.raises(InputError, match="memory must be bytes"):
            memory_limit(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "option", ["--wait", "-W", "-a0-3", "--array=0-3", "--output=x", "-M", "--clusters=b", "gpu:1", "", "--x=a\nb"]
)
def test_options_that_are_none_or_that_are_ours_are_refused(option: str) -> None:
    with pytest.raises(InputError, match="options"):
        Request(options=(option,))


@pytest.mark.parametrize("wrong", [{"partition": ""}, {"account": "a\nb"}, {"job_name": 3}, {"cpus_per_slave": 0}])
def test_what_cannot_be_asked_for_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        Request(**wrong)


def test_what_speaks_of_a_job_that_the_master_is_in_is_not_passed_on() -> None:
    environment = {
        "PATH": "/bin", "SLURM_CONF": "/etc/slurm.conf", "SLURM_JWT": "token", "SLURM_JOB_ID": "7",
        "SLURM_MEM_PER_CPU": "100", "SLURM_CONFIG": "x", "SBATCH_ACCOUNT": "mine", "SBATCH_WAIT": "1",
        "SBATCH_ARRAY_INX": "0-3", "SQUEUE_FORMAT": "%i",
    }  # fmt: skip
    assert set(clean_environment(environment)) == {"PATH", "SLURM_CONF", "SLURM_JWT", "SBATCH_ACCOUNT"}
