"""What Grid Engine is told and what it says: scripts, arguments, and the answers of its commands. Pure.

An array has one relay a task. In a parallel environment one task gets slots on several hosts: its script starts
``tracking.slave.spread`` on the first, which runs the same script on each host, and there it starts the relay. Only the
first order asks for its slots together; what comes later asks for them one by one, as tasks of one slot each. For when
the host of such a script crashes all relays of the job are lost, its slots are held until that host is back, and some
of the others', too, where the engine has not noticed yet and starts the next job there.
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
from tracking.fabrics.queues.engine import Order, check_text, relay_words, ticket_check, whole_seconds
from tracking.fabrics.queues.tasks import WHOLE, Phase, Seen, Task

_NOT_A_NAME = re.compile(r"^\d|^$|[\s/:@\\*?,]")
_JOB = re.compile(r"(\d+)(\.\d+-\d+:\d+)?")
_RANGE = re.compile(r"(\d+)(?:-(\d+)(?::(\d+))?)?")
_TIME = re.compile(r"(?:(\d*):(\d*):)?(\d+)")
_MEMORY = re.compile(r"\d+(\.\d+)?[kmgKMG]?")

_NO_OUTPUT = "can't open output file"
_STATES = {"s": "suspended", "S": "suspended", "T": "suspended", "r": "running"}


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
    most_tasks = 75000  # its own limit of an array, unless a site has set another

    def __post_init__(self) -> None:
        for name in ("python", "parallel_environment", "queue", "project", "directory"):
            check_text(name, getattr(self, name))
        if not isinstance(self.job_name, str) or _NOT_A_NAME.search(self.job_name):
            raise InputError(
                "job_name must not be empty, begin with a digit, nor hold blanks or any of / : @ \\ * ? , : "
                f"{self.job_name!r}"
            )

    @property
    def queue_words(self) -> str:
        return f"queue {self.queue} of Grid Engine" if self.queue else "Grid Engine's queue"

    def environment(self, environ: Mapping[str, str]) -> Mapping[str, str]:
        return environ

    # ---- submitting

    def script(self, order: Order) -> str:
        """The job, for ``/bin/sh``."""
        body = self._spread_body(order) if self._is_spread(order) else self._array_body(order)
        requests = "".join(f"#$ {shlex.join(request)}\n" for request in self._requests(order))
        setup = "".join(f"{line}\n" for line in self.setup)
        return f"#!/bin/sh\n{requests}{ticket_check(order)}{setup}{body}"

    def _is_spread(self, order: Order) -> bool:
        return self.parallel_environment is not None and order.is_first

    def _requests(self, order: Order) -> Iterator[list[str]]:
        yield ["-N", self.job_name]
        yield ["-S", "/bin/sh"]
        yield ["-b", "n"]
        yield ["-r", "n"]
        yield ["-j", "y"]
        n_tasks, n_slots = (1, len(order.numbers)) if self._is_spread(order) else (len(order.numbers), 1)
        yield ["-t", f"1-{n_tasks}"]
        yield ["-o", f":{order.output}.$TASK_ID"]
        if self.parallel_environment is not None:
            yield ["-pe", self.parallel_environment, str(n_slots)]
        if self.queue:
            yield ["-q", self.queue]
        if self.project:
            yield ["-P", self.project]
        for name, value in self.resources.items():
            yield ["-l", f"{name}={value}"]
        if self.options:
            yield list(self.options)

    def _array_body(self, order: Order) -> str:
        numbers = " ".join(map(str, order.numbers))
        return f'set -- {numbers}\nshift $((SGE_TASK_ID - 1))\nexec {self._relay(order)} "$1" --slots 1\n'

    def _spread_body(self, order: Order) -> str:
        numbers = ",".join(map(str, order.numbers))
        script = f"{order.output}.sh"
        spread = relay_words(self.python, script, numbers, order.output, module="tracking.slave.spread")
        return f'if [ "$#" -eq 0 ]; then\n    exec {spread}\nfi\nexec {self._relay(order)} "$1" --slots "$2"\n'

    def _relay(self, order: Order) -> str:
        arguments = ["--directory", self.directory] if self.directory is not None else []
        if self.left_s is not None:
            arguments += ["--left-s", str(self.left_s)]
        return relay_words(self.python, *arguments, order.ticket)

    def try_argv(self, order: Order) -> list[str]:
        return ["qsub", "-w", "v"]

    def refuses(self, complaint: str) -> bool:
        return "qmaster" not in complaint  # which cannot be reached, perhaps in a moment

    def submit_argv(self, order: Order, script: str) -> list[str]:
        return ["qsub", "-terse", script]

    def job_of(self, answer: str) -> str:
        for line in reversed(answer.splitlines()):  # a site may say more before it
            if found := _JOB.fullmatch(line.strip()):
                return found[1]
        raise EngineError(f"qsub does not say which job it has made: {answer.strip()!r}")

    def tasks_of(self, job: str, order: Order) -> Mapping[Task, Sequence[int]]:
        if self._is_spread(order):
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
                states[Task(_job_of(entry), index)] = seen
        return states

    def ours_of(self, jobs: Sequence[str], outcome: Outcome) -> Sequence[Task]:
        """Those of our user that bear our name; numbers begin anew now and then."""
        entries = () if (root := _xml(outcome)) is None else root.iter("job_list")
        ours = {_job_of(entry) for entry in entries if (entry.findtext("JB_name") or "").strip() == self.job_name}
        return [Task(job, WHOLE) for job in jobs if job in ours]

    def why_argv(self, task: Task, seen: Seen | None) -> list[str] | None:
        if seen is not None and seen.phase is Phase.FAILED:
            return ["qstat", "-j", task.job]
        if seen is not None:
            return None
        return ["qacct", "-j", task.job, "-t", str(task.index)]

    def why_of(self, task: Task, seen: Seen | None, outcome: Outcome) -> tuple[str, str]:
        if not outcome.is_good:
            return "", ""
        if seen is None:
            return accounted_end(outcome.answer)
        reason = error_reason(outcome.answer, task.index)
        return f"{reason}; files=... names another folder" if _NO_OUTPUT in reason else reason, ""

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
        names = (task.job if task.index == WHOLE else f"{task.job}.{task.index}" for task in tasks)
        return ["qdel", *dict.fromkeys(names)]

    # ---- words

    def label(self, task: Task) -> str:
        return f"Grid Engine job {task.job}.{task.index}"

    def how_to_choose(self, host: str) -> str:
        return f"queue='all.q@{host}' of GridEngineFabric asks for certain ones, where the queue is called all.q"


# ---- what the user says


def seconds_of(time: object) -> int | None:
    """A time limit in seconds.

    Args:
        time: a number of them, a timedelta, or the engine's words, HOURS:MINUTES:SECONDS; None: none.

    Raises:
        InputError: it is none of these, or not above 0.
    """
    if time is None:
        return None
    if (seconds := whole_seconds(time)) is not None:
        return seconds
    found = _TIME.fullmatch(time.strip()) if isinstance(time, str) else None
    seconds = 0 if found is None else int(found[1] or 0) * 3600 + int(found[2] or 0) * 60 + int(found[3])
    if seconds <= 0:
        raise InputError(f"time must be seconds above 0, a timedelta or 'HOURS:MINUTES:SECONDS', not {time!r}")
    return seconds


def memory_words(memory: object) -> str | None:
    """Memory as Grid Engine writes it, from bytes, or its own words ("2G"); None: none.

    Raises:
        InputError: it is none of these.
    """
    if memory is None:
        return None
    if isinstance(memory, int) and not isinstance(memory, bool) and memory > 0:
        return str(memory)
    if isinstance(memory, str) and _MEMORY.fullmatch(memory):
        return memory
    raise InputError(f"memory must be bytes, or what Grid Engine understands ('4G', '500M'), not {memory!r}")


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


def accounted_end(text: str) -> tuple[str, str]:
    """How a job ended, and where, as ``qacct -j`` says: of its records, the first of a failure, else the last."""
    records = [
        dict(re.findall(r"^(\S+) +(.*?) *$", record, re.MULTILINE))
        for record in re.split(r"^=+$", text, flags=re.MULTILINE)
    ]
    ends = [(_end_in_words(record), record.get("hostname", "")) for record in records if "exit_status" in record]
    return next((end for end in ends if end[0].startswith("failed")), ends[-1] if ends else ("", ""))


def _end_in_words(record: Mapping[str, str]) -> str:
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
        return Seen(Phase.PENDING, "on hold" if "h" in state else "")
    if "t" in state:
        return Seen(Phase.STARTING, "starting", host)
    return Seen(Phase.RUNNING, next((words for letter, words in _STATES.items() if letter in state), state), host)


def _job_of(entry: ElementTree.Element) -> str:
    return (entry.findtext("JB_job_number") or "").strip()


def _xml(outcome: Outcome) -> ElementTree.Element | None:
    try:
        return ElementTree.fromstring(outcome.stdout) if outcome.is_good else None  # noqa: S314  (of the engine)
    except ElementTree.ParseError:
        return None
