"""What Slurm's commands answer, read; what states and reasons mean, in words. Pure."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from typing import Final

from tracking.fabrics.queues.tasks import WHOLE, Phase, Seen, Task

SQUEUE_FIELDS: Final = "ArrayJobID:|,ArrayTaskID:|,State:|,Reason:|,NodeList:|,exit_code:|"
"""For ``squeue -O``: what ``parse_squeue`` reads, with nothing cut off (Slurm 20.02 or newer)."""

_ENDS = {
    "BOOT_FAIL": "its node did not boot",
    "CANCELLED": "cancelled from outside: by scancel, or by an administrator",
    "COMPLETED": "it has ended",
    "DEADLINE": "its deadline has come",
    "FAILED": "",
    "NODE_FAIL": "its node has failed",
    "OUT_OF_MEMORY": "it has used more memory than it had asked for: memory=... asks for more",
    "PREEMPTED": "a job of higher priority took its place",
    "REVOKED": "another cluster has it",
    "TIMEOUT": "its time limit is reached: time=... sets it",
}
_NEVER = {
    "BadConstraints": "no node can fulfil what it asks for",
    "DependencyNeverSatisfied": "what it depends on did not happen",
    "InvalidAccount": "there is no such account",
    "InvalidQOS": "there is no such QOS",
    "PartitionConfig": "no node of the partition has what it asks for",
    "PartitionNodeLimit": "it asks for more nodes than a job may have in this partition",
    "PartitionTimeLimit": "it asks for more time than a job may have in this partition",
    "AssociationTimeLimit": "it asks for more time than its association allows",
    "AccountNotAllowed": "its account may not use this partition",
    "QOSNotAllowed": "its QOS may not be used in this partition",
}
_NEVER_PATTERN = re.compile(r"(QOS|Assoc)Max\w*PerJob(Limit)?|launch failed requeued held", re.IGNORECASE)
_LAUNCH_FAILURE = "JobLaunchFailure"
_UNITS = {"": 1.0, "K": 1e3, "M": 1e6}


@dataclass(frozen=True, slots=True)
class TaskState:
    """What Slurm says of one task of a job array.

    Attributes:
        state: in Slurm's word ("PENDING").
        reason: why it is so, in Slurm's word; "": none.
        node: where it is; "": nowhere yet.
        exit_code: as ``wait`` gives it.
    """

    state: str
    reason: str = ""
    node: str = ""
    exit_code: int = 0

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it will come any more."""
        return self.state in _ENDS

    @property
    def never_starts(self) -> str:
        """Why it will wait for ever, in words; "": it may start."""
        if self.state != "PENDING":
            return ""
        if self.reason in _NEVER:
            return _NEVER[self.reason]
        return "its limits do not allow it" if _NEVER_PATTERN.fullmatch(self.reason) else ""

    @property
    def seen(self) -> Seen:
        """What this means for any queue."""
        if self.has_ended:
            return Seen(Phase.ENDED, end_in_words(self), self.node)
        if self.never_starts:
            return Seen(Phase.FAILED, f"will never start: {self.reason} ({self.never_starts})")
        if self.state == "PENDING":
            return Seen(Phase.PENDING, self.reason)
        return Seen(Phase.ENDING if self.state == "COMPLETING" else Phase.RUNNING, self.state, self.node)


def parse_squeue(text: str) -> dict[Task, TaskState]:
    """The states from the answer of ``squeue -h -r -O SQUEUE_FIELDS``; other lines are passed over.

    Tasks that ended before Slurm told them apart are one, ``WHOLE``.
    """
    states = {}
    for line in text.splitlines():
        fields = [field.strip() for field in line.split("|")]
        if len(fields) < 6 or not fields[0].isdigit():
            continue
        task = int(fields[1]) if fields[1].isdigit() else WHOLE
        reason = "" if fields[3] in ("None", "N/A") else fields[3]
        exit_code = int(fields[-2]) if fields[-2].isdigit() else 0
        states[Task(fields[0], task)] = TaskState(fields[2], reason, fields[4], exit_code)
    return states


def parse_submitted(text: str) -> str | None:
    """The number of a new array from the answer of ``sbatch --parsable``; None: there is none in it."""
    for line in reversed(text.splitlines()):
        found = re.fullmatch(r"(\d+)(;\S*)?", line.strip())
        if found:
            return found[1]
    return None


def parse_idle_cpus(text: str) -> int:
    """How many CPUs are idle, from the answer of ``sinfo -h -o %C`` (allocated/idle/other/total)."""
    return int(sum(_count(found[1]) for found in re.finditer(r"^[^/\s]+/([^/\s]+)/[^/\s]+/\S+$", text, re.MULTILINE)))


def _count(text: str) -> float:
    found = re.fullmatch(r"([\d.]+)([KM]?)\+?", text)
    return float(found[1]) * _UNITS[found[2]] if found else 0.0


def end_in_words(task: TaskState) -> str:
    """Slurm's own state, and what that means.

    Example:
        >>> end_in_words(TaskState("NODE_FAIL", node="node2"))
        'NODE_FAIL (its node has failed)'
    """
    words = [_ENDS.get(task.state, "")]
    if task.reason == _LAUNCH_FAILURE:
        words = [
            f"{_LAUNCH_FAILURE}: Slurm could not start it there. Does this node see the folder of its output? "
            "files=... names another"
        ]
    elif task.state in ("FAILED", "COMPLETED"):
        words.append(_exit_in_words(task.exit_code))
    elif task.reason and task.reason != task.state:
        words.append(task.reason)
    what = "; ".join(word for word in words if word)
    return f"{task.state} ({what})" if what else task.state


def _exit_in_words(code: int) -> str:
    number = code & 0x7F
    if not number:
        return f"exit status {code >> 8}"
    try:
        return f"killed by {signal.Signals(number).name}"
    except ValueError:
        return f"killed by signal {number}"
