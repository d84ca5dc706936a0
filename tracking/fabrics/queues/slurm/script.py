"""What is asked of Slurm: the options of sbatch, and the script that it runs on each node. Pure."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from tracking.errors import InputError
from tracking.fabrics.queues.engine import Order, check_text, relay_words, ticket_check, whole_seconds

_TIME = re.compile(r"\d+(:\d\d?){0,2}|\d+-\d\d?(:\d\d?){0,2}")
_MEMORY = re.compile(r"\d+[KMGT]?", re.IGNORECASE)
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
            check_text(name, getattr(self, name))
        if self.cpus_per_slave < 1:
            raise InputError(f"cpus_per_slave must be at least 1, not {self.cpus_per_slave}")
        for option in self.options:
            _check_option(option)

    def sbatch_options(self, order: Order) -> list[str]:
        """The options of sbatch for so many jobs, each ``--name=value`` or as it was given."""
        named = {
            "--job-name": self.job_name,
            "--array": f"0-{len(order.numbers) - 1}",
            "--ntasks": "1",
            "--cpus-per-task": str(self.cpus_per_slave),
            "--partition": self.partition,
            "--time": self.time,
            "--mem": self.memory,
            "--account": self.account,
            "--qos": self.qos,
            "--constraint": self.constraint,
            "--chdir": self.directory or os.getcwd(),
            "--output": f"{order.output.replace('%', '%%')}.%a",
            "--export": "ALL",
        }
        given = [f"{name}={value}" for name, value in named.items() if value is not None]
        return [*given, "--no-requeue", *self.options]

    def script(self, order: Order) -> str:
        """The script for these relays."""
        options = "".join(f"#SBATCH {shlex.quote(option)}\n" for option in self.sbatch_options(order))
        setup = "".join(f"{line}\n" for line in self.setup)
        directory = [] if self.directory is None else ["--directory", self.directory]
        return (
            f"#!/bin/sh\n{options}{ticket_check(order)}{setup}"
            "if [ -n \"$SLURM_JOB_END_TIME\" ]; then\n"
            "    left=$((SLURM_JOB_END_TIME - $(date +%s)))\n"
            "else\n"
            '    left=$(squeue -h -j "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" -o %L 2>/dev/null |\n'
            f"        {_LEFT_BY_SQUEUE})\n"
            "fi\n"
            f"set -- {' '.join(map(str, order.numbers))}\n"
            "shift $SLURM_ARRAY_TASK_ID\n"
            f"exec {relay_words(self.python, *directory)} \\\n"
            f'    --slots 1 ${{left:+--left-s "$left"}} {shlex.quote(order.ticket)} "$1"\n'
        )


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
    if (seconds := whole_seconds(time)) is not None:
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


def _check_option(option: str) -> None:
    if not option.startswith("-") or not option.isprintable():
        raise InputError(f"options are for sbatch, each like '--name=value' or '-x', not {option!r}")
    name = option.partition("=")[0] if option.startswith("--") else option[:2]
    if name in _OURS or (not option.startswith("--") and name in _OURS.values()):
        raise InputError(f"{option!r} is set by the fabric itself, it cannot be among the options for sbatch")
