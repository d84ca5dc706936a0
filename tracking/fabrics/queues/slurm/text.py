"""Slurm as an ``Engine``: job arrays of relays, one a task. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tracking.errors import EngineError
from tracking.fabrics.commands import Outcome
from tracking.fabrics.queues.engine import Order
from tracking.fabrics.queues.slurm.answers import SQUEUE_FIELDS, parse_idle_cpus, parse_squeue, parse_submitted
from tracking.fabrics.queues.slurm.script import Request, clean_environment
from tracking.fabrics.queues.tasks import WHOLE, Seen, Task

_MAY_COME_TRUE = re.compile(r"busy|drained|reserved|unable to contact", re.IGNORECASE)
_NO_SUCH_JOB = b"Invalid job id"


@dataclass(frozen=True, slots=True)
class SlurmText:
    """An ``Engine``.

    Attributes:
        request: what each job asks for.
    """

    request: Request

    name = "slurm"
    title = "Slurm"
    tools = ("sbatch", "squeue", "scancel", "sinfo")
    hint = ""
    most_tasks = 1000  # Slurm's own limit of an array, unless a site has set another

    @property
    def queue_words(self) -> str:
        partition = self.request.partition
        return f"the queue of partition {partition}" if partition else "Slurm's queue"

    def environment(self, environ: Mapping[str, str]) -> Mapping[str, str]:
        return clean_environment(environ)

    # ---- submitting

    def script(self, order: Order) -> str:
        return self.request.script(order)

    def try_argv(self, order: Order) -> list[str]:
        return ["sbatch", "--test-only", *self.request.sbatch_options(order)]

    def refuses(self, complaint: str) -> bool:
        return not _MAY_COME_TRUE.search(complaint)

    def submit_argv(self, order: Order, script: str) -> list[str]:
        """Options again, since variables of the environment outdo those in a script."""
        return ["sbatch", "--parsable", *self.request.sbatch_options(order), script]

    def job_of(self, answer: str) -> str:
        job = parse_submitted(answer)
        if job is None:
            raise EngineError(f"sbatch does not say which job it has made: {answer.strip()!r}")
        return job

    def tasks_of(self, job: str, order: Order) -> Mapping[Task, Sequence[int]]:
        return {Task(job, index): [number] for index, number in enumerate(order.numbers)}

    # ---- asking

    def states_argv(self, jobs: Sequence[str]) -> list[str]:
        return ["squeue", "-h", "-r", "-t", "all", "-j", ",".join(jobs), "-O", SQUEUE_FIELDS]

    def states_of(self, outcome: Outcome) -> dict[Task, Seen] | None:
        if not outcome.is_good and _NO_SUCH_JOB not in outcome.stderr:
            return None
        return {task: state.seen for task, state in parse_squeue(outcome.answer).items()}

    def ours_of(self, jobs: Sequence[str], outcome: Outcome) -> Sequence[Task]:
        return [Task(job, WHOLE) for job in jobs]  # scancel is told our name, too

    def why_argv(self, task: Task, seen: Seen | None) -> list[str] | None:
        return None

    def why_of(self, task: Task, seen: Seen | None, outcome: Outcome) -> tuple[str, str]:
        return "", ""

    def idle_argv(self) -> list[str]:
        partition = [] if self.request.partition is None else [f"--partition={self.request.partition}"]
        return ["sinfo", "-h", *partition, "-o", "%C"]

    def idle_of(self, answer: str) -> int:
        return parse_idle_cpus(answer) // self.request.cpus_per_slave

    # ---- ending

    def cancel_argv(self, tasks: Sequence[Task]) -> list[str]:
        """Numbers are used again some day: the name says that a job is of ours, indeed."""
        names = [task.job if task.index == WHOLE else f"{task.job}_{task.index}" for task in tasks]
        return ["scancel", "--quiet", f"--name={self.request.job_name}", *names]

    # ---- words

    def label(self, task: Task) -> str:
        return f"Slurm job {task.job}_{task.index}"

    def how_to_choose(self, host: str) -> str:
        return f"options=['--nodelist={host}'] of SlurmFabric asks for certain nodes"
