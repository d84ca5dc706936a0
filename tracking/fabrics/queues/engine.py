"""What a queueing system must tell a ``QueuedLauncher``: text in, text out."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import tracking
from tracking.errors import InputError
from tracking.fabrics.commands import Outcome
from tracking.fabrics.queues.tasks import Seen, Task


@dataclass(frozen=True, slots=True)
class Order:
    """Relays that are submitted together.

    Attributes:
        numbers: of the relays.
        ticket: path of the ticket.
        output: path where outputs go; the engine puts ".INDEX" of a task behind it.
        is_first: of a fabric; later ones are for slaves that replace others, or were added.
    """

    numbers: tuple[int, ...]
    ticket: str
    output: str
    is_first: bool = True


class Engine(Protocol):
    """A queueing system: what to run, and what the answers mean. Nothing in here runs anything.

    Attributes:
        name, title: of the fabric, and of the engine for people ("slurm", "Slurm").
        hint: what to look after where its commands are missing.
        most_tasks: so many relays can be in one order.
    """

    name: str
    title: str
    hint: str
    most_tasks: int

    @property
    def tools(self) -> Sequence[str]:
        """Its commands."""

    @property
    def queue_words(self) -> str:
        """How its queue is called ("the queue of partition debug")."""

    def environment(self, environ: Mapping[str, str]) -> Mapping[str, str]:
        """What its commands get of this environment."""

    # ---- submitting

    def script(self, order: Order) -> str:
        """What is submitted, with all that the user wants of the engine in it."""

    def try_argv(self, order: Order) -> list[str]:
        """The command that asks whether such a script, which it reads, would be taken."""

    def refuses(self, complaint: str) -> bool:
        """Whether a complaint of this command is a refusal, and not one that waiting may heal."""

    def submit_argv(self, order: Order, script: str) -> list[str]:
        """The command that submits the script in this file."""

    def job_of(self, answer: str) -> str:
        """The job that was submitted.

        Raises:
            EngineError: the answer does not say.
        """

    def tasks_of(self, job: str, order: Order) -> Mapping[Task, Sequence[int]]:
        """The tasks of a job, and the relays of each."""

    # ---- asking

    def states_argv(self, jobs: Sequence[str]) -> list[str]:
        """The one command that asks for the states of all these jobs."""

    def states_of(self, outcome: Outcome) -> Mapping[Task, Seen] | None:
        """What it said; None: nothing could be learnt. Tasks that are not in it have ended."""

    def ours_of(self, jobs: Sequence[str], outcome: Outcome) -> Sequence[Task]:
        """Of these jobs, whose numbers may be those of others by now, what is surely ours in the answer."""

    def why_argv(self, task: Task, seen: Seen | None) -> list[str] | None:
        """The command that asks why a task has ended; ``seen``: how the queue said so, None: it knows it no more."""

    def why_of(self, task: Task, seen: Seen | None, outcome: Outcome) -> tuple[str, str]:
        """What it said, and on which host the task was; "": nothing of that."""

    def idle_argv(self) -> list[str]:
        """The command that asks what is idle."""

    def idle_of(self, answer: str) -> int:
        """So many slaves could run at once."""

    # ---- ending

    def cancel_argv(self, tasks: Sequence[Task]) -> list[str]:
        """The command that ends these tasks, or whole jobs."""

    # ---- words

    def label(self, task: Task) -> str:
        """What people of this engine call this task ("Slurm job 12_3")."""

    def how_to_choose(self, host: str) -> str:
        """What to give to have slaves on this host."""


def relay_words(python: str, *arguments: str, module: str = "tracking.slave.relay") -> str:
    """The words of a shell that start a relay of our own release, whatever is installed there.

    Args:
        python: the interpreter there.
        arguments: of the relay.
        module: what is run instead.
    """
    root = os.path.dirname(os.path.dirname(os.path.abspath(tracking.__file__)))
    code = (
        f"import sys; sys.path.insert(0, {root!r}); "
        f"from {module} import main; sys.path.remove({root!r}); sys.exit(main(sys.argv[1:]))"
    )
    return " ".join(map(shlex.quote, [python, "-P", "-c", code, *arguments]))


def ticket_check(order: Order) -> str:
    """The lines of a shell by which a job ends that starts when its master has ended."""
    ticket = shlex.quote(order.ticket)
    return (
        f"if [ ! -r {ticket} ]; then\n"
        f'    echo "$(uname -n): "{ticket}" is not there: the master has ended" >&2\n'
        "    exit 0\n"
        "fi\n"
    )


# ---- what users say


def lines_of(name: str, lines: str | Sequence[str]) -> tuple[str, ...]:
    """One or several lines as a tuple of texts.

    Raises:
        InputError: they are something else.
    """
    given = (lines,) if isinstance(lines, str) else tuple(lines)
    if not all(isinstance(line, str) for line in given):
        raise InputError(f"{name} must be texts, not {lines!r}")
    return given


def check_text(name: str, value: object) -> None:
    """Nothing, or a text of one line that can be shown.

    Raises:
        InputError: it is something else.
    """
    if value is not None and (not isinstance(value, str) or not value or not value.isprintable()):
        raise InputError(f"{name} must be a text of one line, not {value!r}")


def whole_seconds(time: object) -> int | None:
    """Seconds, or a timedelta, as a whole number of seconds above 0; None: it is neither."""
    if isinstance(time, timedelta):
        time = time.total_seconds()
    if isinstance(time, int | float) and not isinstance(time, bool) and 0 < time < float("inf"):
        return int(-(-time // 1))
    return None


def path_of(directory: str | os.PathLike[str] | None) -> str | None:
    """A directory by its full path."""
    return None if directory is None else os.path.abspath(os.path.expanduser(directory))
