"""What a queueing system must tell a ``QueuedLauncher``: text in, text out."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import tracking
from tracking.fabrics.commands import Outcome
from tracking.fabrics.queue_tasks import Seen, Task


@dataclass(frozen=True, slots=True)
class Order:
    """Relays that are submitted together.

    Attributes:
        numbers: of the relays; that of the task with index i is the i-th, and the first index is 1.
        ticket: path of the ticket.
        output: path where outputs go; the engine puts ".INDEX" behind it.
    """

    numbers: tuple[int, ...]
    ticket: str
    output: str

    @property
    def ends(self) -> str:
        """Path where a task with several relays says which of them have ended."""
        return f"{self.output}.ended"


class Engine(Protocol):
    """A queueing system: what to run, and what the answers mean. Nothing in here runs anything.

    Attributes:
        name, title: of the fabric, and of the engine for people ("slurm", "Slurm").
        hint: what to look after where its commands are missing.
    """

    name: str
    title: str
    hint: str

    @property
    def tools(self) -> Sequence[str]:
        """Its commands."""

    def script(self, order: Order) -> str:
        """What is submitted, with all that the user wants of the engine in it."""

    def submit_argv(self, order: Order, script: str) -> list[str]:
        """The command that submits the script in this file."""

    def job_of(self, answer: str) -> str:
        """The job that was submitted.

        Raises:
            EngineError: the answer does not say.
        """

    def tasks_of(self, job: str, order: Order) -> Mapping[Task, Sequence[int]]:
        """The tasks of a job, and the relays of each."""

    def states_argv(self, jobs: Sequence[str]) -> list[str]:
        """The one command that asks for the states of all these jobs."""

    def states_of(self, outcome: Outcome) -> Mapping[Task, Seen] | None:
        """What it said; None: nothing could be learnt. Tasks that are not in it have ended."""

    def why_argv(self, task: Task, seen: Seen | None) -> list[str] | None:
        """The command that asks why a task has ended; ``seen``: how the queue said so, None: it knows it no more."""

    def why_of(self, task: Task, seen: Seen | None, outcome: Outcome) -> str:
        """What it said; "": nothing."""

    def cancel_argv(self, tasks: Sequence[Task]) -> list[str]:
        """The command that ends these tasks."""

    def cancel_abandoned_argv(self, jobs: Sequence[str]) -> list[str] | None:
        """The command that ends jobs of masters that were killed; None: they are left to end by themselves."""

    def idle_argv(self) -> list[str]:
        """The command that asks what is idle."""

    def idle_of(self, answer: str) -> int:
        """So many slaves could run at once."""

    def label(self, task: Task) -> str:
        """What people of this engine call this task ("Slurm job 12_3")."""


def relay_words(python: str, *arguments: str, module: str = "tracking.slave.relay") -> str:
    """The words of a shell that start a relay of our own release, whatever is installed there; ends with "$number".

    Args:
        python: the interpreter there.
        arguments: more of the relay's.
        module: what is run instead.
    """
    root = os.path.dirname(os.path.dirname(os.path.abspath(tracking.__file__)))
    code = (
        f"import sys; sys.path.insert(0, {root!r}); "
        f"from {module} import main; sys.path.remove({root!r}); sys.exit(main(sys.argv[1:]))"
    )
    return " ".join(map(shlex.quote, [python, "-P", "-c", code, *arguments]))
