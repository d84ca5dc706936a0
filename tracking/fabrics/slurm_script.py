"""What is asked of Slurm: the options of sbatch, and the script that it runs on each node. Pure."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import tracking
from tracking.errors import InputError

_TIME = re.compile(r"\d+(:\d\d?){0,2}|\d+-\d\d?(:\d\d?){0,2}")
_MEMORY = re.compile(r"\d+[KMGT]?", re.IGNORECASE)
_ARRAY_TASKS = 1000  # Slurm's own limit, unless a site has set another
_UNLIMITED = ("UNLIMITED", "INFINITE")
_OURS = {
    "--array": "-a", "--clusters": "-M", "--error": "-e", "--export": "", "--output": "-o", "--parsable": "",
    "--requeue": "", "--wait": "-W", "--wrap": "", "--ignore-pbs": "", "--test-only": "", "--input": "-i",
    "--chdir": "-D", "--job-name": "-J",
}  # fmt: skip
_NOT_PASSED_ON = re.compile(
    r"SLURM_(?!(CONF|CONF_SERVER|JWT)$)|SBATCH_(WAIT|ARRAY|CLUSTERS|EXPORT|REQUEUE|IGNORE)|SQUEUE_|SCANCEL_|SINFO_"
)
_LEFT_BY_SQUEUE = (
    "awk -F'[-:]' '/^[0-9:-]+$/ "
    "{ print $NF + 60 * $(NF-1) + (NF > 2 ? 3600 * $(NF-2) : 0) + (NF > 3 ? 86400 * $(NF-3) : 0) }'"
)


@dataclass(frozen=True, slots=True)
class Request:
    """What each job of a pool asks for; all of it checked.

    Attributes: see ``SlurmFabric``.
    """

    partition: str | None = None
    time: str | None = None
    memory: str | None = None
    cpus_per_slave: int = 1
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    options: tuple[str, ...] = ()
    python: str = sys.executable
    directory: str | None = None
    setup: tuple[str, ...] = ()
    job_name: str = "tracking"

    def __post_init__(self) -> None:
        for name in ("partition", "account", "qos", "constraint", "job_name", "python", "directory"):
            _check_text(name, getattr(self, name))
        if self.cpus_per_slave < 1:
            raise InputError(f"cpus_per_slave must be at least 1, not {self.cpus_per_slave}")
        for option in self.options:
            _check_option(option)

    def sbatch_options(self, count: int, folder: str) -> list[str]:
        """The options of sbatch for so many jobs, each ``--name=value`` or as it was given."""
        named = {
            "--job-name": self.job_name,
            "--array": f"0-{count - 1}",
            "--ntasks": "1",
            "--cpus-per-task": str(self.cpus_per_slave),
            "--partition": self.partition,
            "--time": self.time,
            "--mem": self.memory,
            "--account": self.account,
            "--qos": self.qos,
            "--constraint": self.constraint,
            "--chdir": self.directory or os.getcwd(),
            "--output": os.path.join(folder.replace("%", "%%"), "%A_%a.out"),
            "--export": "ALL",
        }
        given = [f"{name}={value}" for name, value in named.items() if value is not None]
        return [*given, "--no-requeue", *self.options]

    def script(self, count: int, base: int, folder: str) -> str:
        """The script for so many jobs whose relays are numbered from ``base`` on; tickets lie in ``folder``."""
        options = "".join(f"#SBATCH {shlex.quote(option)}\n" for option in self.sbatch_options(count, folder))
        setup = "".join(f"{line}\n" for line in self.setup)
        directory = f" --directory {shlex.quote(self.directory)}" if self.directory else ""
        return (
            f"#!/bin/sh\n{options}"
            f"ticket={shlex.quote(ticket_path(folder))}\n"
            'if [ ! -r "$ticket" ]; then\n'
            '    echo "$(uname -n): $ticket is not there: the master has ended" >&2\n'
            "    exit 0\n"
            "fi\n"
            f"{setup}"
            "if [ -n \"$SLURM_JOB_END_TIME\" ]; then\n"
            "    left=$((SLURM_JOB_END_TIME - $(date +%s)))\n"
            "else\n"
            '    left=$(squeue -h -j "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" -o %L 2>/dev/null |\n'
            f"        {_LEFT_BY_SQUEUE})\n"
            "fi\n"
            f"exec {shlex.join(relay_argv(self.python))} \\\n"
            f'    "$ticket" $(({base} + SLURM_ARRAY_TASK_ID)) --slots 1{directory} ${{left:+--left-s "$left"}}\n'
        )


def array_runs(numbers: list[int]) -> list[list[int]]:
    """These numbers in runs without gaps, each short enough for an array."""
    runs: list[list[int]] = []
    for number in numbers:
        if not runs or number != runs[-1][-1] + 1 or len(runs[-1]) == _ARRAY_TASKS:
            runs.append([])
        runs[-1].append(number)
    return runs


def ticket_path(folder: str) -> str:
    """The file of the ticket."""
    return os.path.join(folder, "ticket")


def relay_argv(python: str) -> list[str]:
    """The command of a relay, which finds this package also where it is only in a checkout that the nodes see."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(tracking.__file__)))
    code = (
        f"import sys; sys.path.insert(0, {root!r}); "
        f"from tracking.slave.relay import main; sys.path.remove({root!r}); sys.exit(main(sys.argv[1:]))"
    )
    return [python, "-P", "-c", code]


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What the commands of Slurm get of this environment.

    A master that is itself in a job has many variables that speak of that job, and would be taken for options of ours.
    """
    return {name: value for name, value in environ.items() if not _NOT_PASSED_ON.match(name)}


def time_limit(time: object) -> str | None:
    """A time limit as Slurm writes it.

    Args:
        time: seconds, a timedelta, or text for Slurm ("90" minutes, "1:30:00", "2-12"); None: the partition's default.

    Raises:
        InputError: it is none of these.
    """
    if time is None:
        return None
    if isinstance(time, timedelta):
        time = time.total_seconds()
    if isinstance(time, (int, float)) and not isinstance(time, bool) and 0 < time < float("inf"):
        seconds = -int(-time // 1)
        return f"{seconds // 86400}-{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    if isinstance(time, str) and (_TIME.fullmatch(time) or time.upper() in _UNLIMITED):
        return time
    raise InputError(
        f"time must be seconds, a timedelta, or what Slurm understands ('90' minutes, '1:30:00', '2-12'), not {time!r}"
    )


def memory_limit(memory: object) -> str | None:
    """Memory as Slurm writes it, from bytes, or text for Slurm ("4G"); None: the partition's default.

    Raises:
        InputError: it is none of these.
    """
    if memory is None:
        return None
    if isinstance(memory, int) and not isinstance(memory, bool) and memory > 0:
        return f"{-(-memory // 1024)}K"
    if isinstance(memory, str) and _MEMORY.fullmatch(memory):
        return memory
    raise InputError(f"memory must be bytes, or what Slurm understands ('4G', '500M'), not {memory!r}")


def lines_of(name: str, lines: str | Sequence[str]) -> tuple[str, ...]:
    """One or several lines as a tuple of texts.

    Raises:
        InputError: they are something else.
    """
    given = (lines,) if isinstance(lines, str) else tuple(lines)
    if not all(isinstance(line, str) for line in given):
        raise InputError(f"{name} must be texts, not {lines!r}")
    return given


def _check_text(name: str, value: object) -> None:
    if value is not None and (not isinstance(value, str) or not value or not value.isprintable()):
        raise InputError(f"{name} must be a text of one line, not {value!r}")


def _check_option(option: str) -> None:
    if not option.startswith("-") or not option.isprintable():
        raise InputError(f"options are for sbatch, each like '--name=value' or '-x', not {option!r}")
    name = option.partition("=")[0] if option.startswith("--") else option[:2]
    if name in _OURS or (not option.startswith("--") and name in _OURS.values()):
        raise InputError(f"{option!r} is set by the fabric itself, it cannot be among the options for sbatch")
