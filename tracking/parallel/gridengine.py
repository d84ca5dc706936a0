"""Slaves of a Grid Engine in the two ways of old: an array job, and the places of a parallel environment.

``GridEngineSlaveArray`` is what new programs use: it knows what the queue says of its jobs.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from typing import Any

from tracking.parallel import subproc
from tracking.parallel.slaves import LocalSlave, Slave, SlaveArray

_JOB = re.compile(r"\d+")
_QDEL_TIMEOUT_S = 20.0


class _SGEQsubSlave(Slave):
    """A task of an array job; started with the others of its array."""

    def __init__(self, array: SGEQsubSlaveArray) -> None:
        self._of = array
        self._job_id = "(unknown)"

    def __repr__(self) -> str:
        known = self._job_id if self._job_id.startswith("(") else f"ID {self._job_id}"
        return f"<SGE qsub slave, {known}>"

    def _start(self, command: str, unique_id: str, output: str) -> Any:
        super()._start(command, unique_id, output)
        self._of._to_start.append((self, unique_id, output))


class SGEQsubSlaveArray(SlaveArray):
    """Slaves that are tasks of an array job; the job is deleted when the manager ends.

    Args:
        numslave: how many.
        options: of qsub, as in a shell ("-l h_rt=3600 -q long"), before ``standard_options``.
        numworker: the same as numslave.
    """

    standard_options = "-j y -cwd -r n -o sge-errors"

    def __init__(self, numslave: int = 1, options: str = "", *, numworker: int | None = None) -> None:
        self._numslave = numslave if numworker is None else numworker
        self._options = options
        self._to_start: list[tuple[_SGEQsubSlave, str, str]] = []
        self._jobs: list[str] = []

    def _get_slaves(self) -> list[Any]:
        return [_SGEQsubSlave(self) for _ in range(self._numslave)]

    def _start(self, command: str) -> Any:
        starting, self._to_start = self._to_start, []
        line = qsub_line(self._options, self.standard_options, len(starting))
        self._says(line)
        script = array_script(command, [unique_id for _, unique_id, _ in starting], [out for *_, out in starting])
        reply = subproc.run_with_input(line, script)
        self._says(reply.strip())
        found = _JOB.search(reply.partition("\n")[0])
        if found is None:
            return
        self._jobs.append(found[0])
        for index, (slave, _, _) in enumerate(starting, 1):
            slave._job_id = f"{found[0]}.{index}"

    def _end(self) -> None:
        """Those of its tasks that wait in the queue shall not start when nobody is there any more."""
        jobs, self._jobs = self._jobs, []
        if jobs:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(["qdel", *jobs], capture_output=True, timeout=_QDEL_TIMEOUT_S, check=False)


def qsub_line(options: str, standard_options: str, count: int) -> str:
    """The command that submits an array.

    >>> qsub_line("-q long", "-r n", 3)
    'qsub -S /bin/sh -q long -r n -t 1-3'
    """
    return " ".join(filter(None, ["qsub -S /bin/sh", options, standard_options, f"-t 1-{count}"]))


def array_script(command: str, unique_ids: Sequence[str], outputs: Sequence[str]) -> str:
    """The job, for any shell that knows what POSIX says."""
    return (
        f"set -- {shlex.join(unique_ids)}\n"
        "shift $((SGE_TASK_ID - 1))\n"
        "myuid=$1\n"
        f"set -- {shlex.join(outputs)}\n"
        "shift $((SGE_TASK_ID - 1))\n"
        "myout=$1\n"
        f'{command} "$myuid" >> "$myout" 2>&1\n'
    )


class _SGEPESlave(Slave):
    """A slave in a slot of a parallel environment, on another host of the job."""

    def __init__(self, host: str) -> None:
        self._host = host

    def __repr__(self) -> str:
        return f"<SGE PE slave on {self._host}>"

    def _start(self, command: str, unique_id: str, output: str) -> Any:
        super()._start(command, unique_id, output)
        self._process = subproc._run_background(qrsh_line(self._host, f"{command} {unique_id}"), output)


def qrsh_line(host: str, command: str) -> str:
    """The command that runs another one, text for a shell, in a slot on this host: a shell there reads it again.

    >>> qrsh_line("node1", "module load x; python run.py")
    "qrsh -inherit -V node1 'module load x; python run.py'"
    """
    return f"qrsh -inherit -V {shlex.quote(host)} {shlex.quote(command)}"


class SGEPESlaveArray(SlaveArray):
    """A slave for each slot of the parallel environment in which the manager runs; the first of them is local."""

    def _get_slaves(self) -> list[Any]:
        """
        Raises:
            KeyError: this program does not run in a parallel environment.
        """
        with open(os.environ["PE_HOSTFILE"], encoding="utf-8") as file:
            slaves: list[Any] = [_SGEPESlave(host) for host in slots_of(file.read())]
        if slaves:
            slaves[0] = LocalSlave()
        return slaves


def slots_of(text: str) -> list[str]:
    """The host of each slot.

    >>> slots_of("node1 2 all.q@node1 UNDEFINED\\nnode2 1 all.q@node2\\n\\n")
    ['node1', 'node1', 'node2']
    """
    lines = [fields for line in text.splitlines() if len(fields := line.split()) >= 3]
    return [fields[0] for fields in lines for _ in range(int(fields[1]))]


SGEQsubWorkerArray = SGEQsubSlaveArray
SGEPEWorkerArray = SGEPESlaveArray
