"""What Grid Engine is told and what it says: scripts, arguments, and the answers of its commands. Pure.

An array has one relay a task. In a parallel environment one job gets slots on several hosts: its script starts
``tracking.slave.spread`` on the first, which runs the same script on each host, and there it starts the relay.
"""

from __future__ import annotations

import fnmatch
import re
import shlex
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tracking.errors import EngineError, InputError
from tracking.fabrics.commands import Outcome
from tracking.fabrics.queue_engine import Order, relay_words
from tracking.fabrics.queue_tasks import Phase, Seen, Task

_NOT_IN_NAMES = re.compile(r"[\s/:@\\*?,]")
_JOB = re.compile(r"(\d+)(\.\d+-\d+:\d+)?")
_RANGE = re.compile(r"(\d+)(?:-(\d+)(?::(\d+))?)?")
_TIME = re.compile(r"(?:(\d+):(\d+):)?(\d+)")


@dataclass(frozen=True, slots=True)
class GridEngineText:
    """An ``Engine``; what is None or empty is not asked for.

    Attributes:
        python, user: the interpreter on the nodes, and who submits.
        parallel_environment: the slots of one job are spread by it; None: an array of jobs with a slot each.
        queue, project, resources, options, job_name, setup, directory: see ``GridEngineFabric``.
        left_s: the time that the engine leaves a job, in seconds.
    """

    python: str
    user: str
    parallel_environment: str | None = None
    queue: str | None = None
    project: str | None = None
    resources: Mapping[str, str] = field(default_factory=dict)
    options: Sequence[str] = ()
    job_name: str = "tracking"
    setup: Sequence[str] = ()
    directory: str | None = None
    left_s: int | None = None

    name = "gridengine"
    title = "Grid Engine"
    tools = ("qsub", "qstat", "qdel")
    hint = "SGE_ROOT, PATH"

    # ---- submitting

    def script(self, order: Order) -> str:
        """The job, for ``/bin/sh``."""
        body = self._array_body(order) if self.parallel_environment is None else self._spread_body(order)
        requests = "".join(f"#$ {shlex.join(request)}\n" for request in self._requests(order))
        ticket = shlex.quote(order.ticket)
        begin = f"[ -e {ticket} ] || exit 0  # its master has ended"
        return "\n".join(["#!/bin/sh", requests + begin, *self.setup, *body, ""])

    def _requests(self, order: Order) -> Iterator[list[str]]:
        yield ["-N", self.job_name]
        yield ["-S", "/bin/sh"]
        yield ["-b", "n"]
        yield ["-r", "n"]
        yield ["-j", "y"]
        if self.parallel_environment is None:
            yield ["-t", f"1-{len(order.numbers)}"]
            yield ["-o", f":{order.output}.$TASK_ID"]
        else:
            yield ["-pe", self.parallel_environment, str(len(order.numbers))]
            yield ["-o", f":{order.output}.1"]
        if self.queue:
            yield ["-q", self.queue]
        if self.project:
            yield ["-P", self.project]
        for name, value in self.resources.items():
            yield ["-l", f"{name}={value}"]
        if self.options:
            yield list(self.options)

    def _array_body(self, order: Order) -> list[str]:
        numbers = " ".join(map(str, order.numbers))
        return [f"set -- {numbers}", "shift $((SGE_TASK_ID - 1))", f'exec {self._relay(order)} "$1" --slots 1']

    def _spread_body(self, order: Order) -> list[str]:
        numbers = ",".join(map(str, order.numbers))
        script = f"{order.output}.sh"
        spread = relay_words(self.python, script, numbers, order.output, module="tracking.slave.spread")
        return [
            'if [ "$#" -eq 0 ]; then',
            f"    exec {spread}",
            "fi",
            f'exec {self._relay(order)} "$1" --slots "$2"',
        ]

    def _relay(self, order: Order) -> str:
        arguments = ["--directory", self.directory] if self.directory is not None else []
        if self.left_s is not None:
            arguments += ["--left-s", str(self.left_s)]
        return relay_words(self.python, *arguments, order.ticket)

    def submit_argv(self, order: Order, script: str) -> list[str]:
        return ["qsub", "-terse", script]

    def job_of(self, answer: str) -> str:
        for line in reversed(answer.splitlines()):  # a site may say more before it
            if found := _JOB.fullmatch(line.strip()):
                return found[1]
        raise EngineError(f"qsub does not say which job it has made: {answer.strip()!r}")

    def tasks_of(self, job: str, order: Order) -> Mapping[Task, Sequence[int]]:
        if self.parallel_environment is not None:
            return {Task(job, 1): order.numbers}
        return {Task(job, index): [number] for index, number in enumerate(order.numbers, 1)}

    # ---- asking

    def states_argv(self, jobs: Sequence[str]) -> list[str]:
        return ["qstat", "-xml", "-s", "prs", "-u", self.user]

    def states_of(self, outcome: Outcome) -> dict[Task, Seen] | None:
        root = _xml(outcome)
        if root is None:
            return None
        states = {}
        for entry in root.iter("job_list"):
            seen = _seen(entry.findtext("state") or "", entry.findtext("queue_name") or "")
            for index in task_indices(entry.findtext("tasks") or "1"):
                states[Task((entry.findtext("JB_job_number") or "").strip(), index)] = seen
        return states

    def why_argv(self, task: Task, seen: Seen | None) -> list[str] | None:
        if seen is not None and seen.phase is Phase.FAILED:
            return ["qstat", "-j", task.job]
        if seen is not None:
            return None
        return ["qacct", "-j", task.job, *([] if self.parallel_environment is not None else ["-t", str(task.index)])]

    def why_of(self, task: Task, seen: Seen | None, outcome: Outcome) -> str:
        if not outcome.is_good:
            return ""
        return error_reason(outcome.answer, task.index) if seen is not None else accounted_end(outcome.answer)

    def idle_argv(self) -> list[str]:
        return ["qstat", "-g", "c", "-xml"]

    def idle_of(self, answer: str) -> int:
        root = ElementTree.fromstring(answer)  # noqa: S314  (the engine's own answer)
        patterns = [pattern.partition("@")[0] for pattern in (self.queue or "*").split(",")]
        return sum(
            int(queue.findtext("available") or 0)
            for queue in root.iter("cluster_queue_summary")
            if any(fnmatch.fnmatchcase(queue.findtext("name") or "", pattern) for pattern in patterns)
        )

    # ---- ending

    def cancel_argv(self, tasks: Sequence[Task]) -> list[str]:
        is_array = self.parallel_environment is None
        return ["qdel", *(f"{task.job}.{task.index}" if is_array else task.job for task in tasks)]

    def cancel_abandoned_argv(self, jobs: Sequence[str]) -> list[str] | None:
        return None  # numbers of jobs begin anew now and then: they might be those of others by now

    def label(self, task: Task) -> str:
        return f"Grid Engine job {task.job}" + (f".{task.index}" if self.parallel_environment is None else "")


# ---- what the user says


def checked_job_name(name: str) -> str:
    """The name, if Grid Engine takes it.

    Raises:
        InputError: it does not; says why.
    """
    if not name or name[0].isdigit() or _NOT_IN_NAMES.search(name):
        raise InputError(f"job_name must not begin with a digit, nor hold blanks or any of / : @ \\ * ? , : {name!r}")
    return name


def seconds_of(time: str | float) -> int:
    """A time limit in seconds: a number of them, or HOURS:MINUTES:SECONDS.

    Raises:
        InputError: it is neither, or not above 0.
    """
    found = _TIME.fullmatch(str(int(time)) if isinstance(time, int | float) else time.strip())
    seconds = 0 if found is None else int(found[1] or 0) * 3600 + int(found[2] or 0) * 60 + int(found[3])
    if seconds <= 0:
        raise InputError(f"time must be seconds above 0 or 'HOURS:MINUTES:SECONDS', not {time!r}")
    return seconds


# ---- what the engine says


def task_indices(text: str) -> Iterable[int]:
    """The tasks meant by ``7-30:1,41``."""
    for part in text.split(","):
        if found := _RANGE.fullmatch(part.strip()):
            first = int(found[1])
            yield from range(first, int(found[2] or first) + 1, int(found[3] or 1))


def error_reason(text: str, index: int) -> str:
    """Why a task is in the state of error, as ``qstat -j`` says; "": it does not."""
    reasons = re.findall(r"^error reason\s+(\d+):\s*(.*)", text, re.MULTILINE)
    return next((words.strip() for task, words in reasons if int(task) == index), "")


def accounted_end(text: str) -> str:
    """How a job ended, as ``qacct -j`` says: of its records, the first of a failure, else the last; "": none."""
    records = re.split(r"^=+$", text, flags=re.MULTILINE)
    ends = [_end_in_words(dict(re.findall(r"^(\S+) +(.*?) *$", record, re.MULTILINE))) for record in records]
    ends = [end for end in ends if end]
    return next((end for end in ends if end.startswith("failed")), ends[-1] if ends else "")


def _end_in_words(record: Mapping[str, str]) -> str:
    if "exit_status" not in record:
        return ""
    status = f"exit status {' '.join(record['exit_status'].split())}"
    number, _, words = record.get("failed", "0").partition(":")
    return status if number.strip() == "0" else f"failed {number.strip()}: {words.strip()}, {status}"


def _seen(state: str, queue: str) -> Seen:
    host = queue.partition("@")[2]
    if "E" in state:
        return Seen(Phase.FAILED, f"in error (state {state})", host)
    if "d" in state:
        return Seen(Phase.ENDED, "deleted", host)
    if "q" in state:
        return Seen(Phase.PENDING, "on hold" if "h" in state else "waiting in the queue", host)
    return Seen(Phase.RUNNING, state, host)


def _xml(outcome: Outcome) -> ElementTree.Element | None:
    try:
        return ElementTree.fromstring(outcome.stdout) if outcome.is_good else None  # noqa: S314  (of the engine)
    except ElementTree.ParseError:
        return None
