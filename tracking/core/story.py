"""The latest events and what was done about them, so that an error can tell how it came to that."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from tracking.core import commands as c
from tracking.core import events as e
from tracking.core.commands import Command, SendJob
from tracking.core.events import Event
from tracking.core.facts import FactKind, ItemFact

_LENGTH = 4000  # events and commands


class Story:
    """A ring of recent events with their commands; its size does not depend on the calculation's."""

    __slots__ = ("_entries", "_length")

    def __init__(self) -> None:
        self._entries: deque[tuple[float, Event, tuple[Command, ...]]] = deque()
        self._length = 0

    def add(self, now: float, event: Event, commands: tuple[Command, ...]) -> None:
        """This happened, and that was done about it."""
        self._entries.append((now, event, commands))
        self._length += 1 + len(commands)
        while self._length > _LENGTH:
            self._length -= 1 + len(self._entries.popleft()[2])

    def of_job(self, job: int) -> tuple[str, ...]:
        """What happened to this job, oldest first."""
        lines: list[str] = []
        slave: int | None = None
        for now, event, commands in self._entries:
            event_job = job if isinstance(event, e.JobsDone) and job in event.jobs else getattr(event, "job", None)
            if event_job == job or (event_job is None and getattr(event, "slave", slave) == slave is not None):
                lines.append(f"{now:.6f} {event!r}")
            for command in commands:
                if getattr(command, "job", None) == job:
                    lines.append(f"{now:.6f} -> {_short(command)}")
                    slave = command.slave if isinstance(command, SendJob) else slave
        return tuple(lines)

    def of_item(self, position: int, nicknames: Mapping[int, str]) -> tuple[ItemFact, ...]:
        """What happened to this item, oldest first, as far as it is remembered.

        Args:
            position: the item.
            nicknames: of slaves, by number.
        """
        story = _ItemStory(position, nicknames)
        for now, event, commands in self._entries:
            story.take_event(now, event)
            for command in commands:
                story.take_command(now, command)
        return tuple(story.facts)


class _ItemStory:
    """Picks out what concerns one item."""

    def __init__(self, position: int, nicknames: Mapping[int, str]) -> None:
        self.facts: list[ItemFact] = []
        self._position = position
        self._nicknames = nicknames
        self._jobs: dict[int, SendJob] = {}  # that hold the item
        self._is_finished = False

    def take_event(self, now: float, event: Event) -> None:
        if isinstance(event, e.JobProgressed):
            self._progressed(now, event)
        elif isinstance(event, e.JobDone | e.JobsDone | e.JobFailed | e.JobReturned):
            for job in event.jobs if isinstance(event, e.JobsDone) else (event.job,):
                sent = self._jobs.pop(job, None)
                if sent is not None:
                    self._note(now, self._end(event), sent)
        elif isinstance(event, e.SlaveSilent | e.SlaveHeard):
            for sent in self._on(event.slave):
                self._note(now, "silent" if isinstance(event, e.SlaveSilent) else "heard", sent)
        elif isinstance(event, e.SlaveLost):
            for sent in self._on(event.slave):
                del self._jobs[sent.job]
                self._note(now, "lost", sent, event.reason)

    def take_command(self, now: float, command: Command) -> None:
        if isinstance(command, SendJob):
            if self._position in command.positions:
                self._jobs[command.job] = command
                self._note(now, "given", command)
        elif isinstance(command, c.RecallJob | c.CancelJob):
            sent = self._jobs.get(command.job)
            if sent is not None:
                self._note(now, "recalled" if isinstance(command, c.RecallJob) else "cancelled", sent)
        elif isinstance(command, c.StopSlave):
            for sent in self._on(command.slave):
                self._note(now, "stopped", sent, command.reason)
        elif isinstance(command, c.GiveUp) and command.position == self._position:
            self._is_finished = True
            self.facts.append(ItemFact(now, "given up", words=command.cause.value))

    def _progressed(self, now: float, event: e.JobProgressed) -> None:
        sent = self._jobs.get(event.job)
        if sent is None:
            return
        if self._position in event.finished:
            self._is_finished = True
            self._note(now, "finished", self._jobs.pop(event.job))
        elif event.running_s is not None and _is_at(sent.positions, event.reported, self._position):
            self._note(now, "running", sent)

    def _end(self, event: e.JobDone | e.JobsDone | e.JobFailed | e.JobReturned) -> FactKind:
        if isinstance(event, e.JobReturned):
            return "returned"
        if self._is_finished:
            return "late"
        if isinstance(event, e.JobFailed):
            return "failed"
        if isinstance(event, e.JobDone) and self._position in event.failed:
            return "raised"
        self._is_finished = True
        return "finished"

    def _on(self, slave: int) -> Iterator[SendJob]:
        return iter([sent for sent in self._jobs.values() if sent.slave == slave])

    def _note(self, now: float, kind: FactKind, sent: SendJob, words: str = "") -> None:
        nickname = self._nicknames.get(sent.slave, "")
        self.facts.append(ItemFact(now, kind, sent.slave, nickname, sent.job, len(sent.positions), words))


def _is_at(positions: Sequence[int], index: int | None, position: int) -> bool:
    return index is not None and index < len(positions) and positions[index] == position


def _short(command: Command) -> str:
    if isinstance(command, SendJob) and len(command.positions) > 5:
        shown = f"{len(command.positions)} positions from {command.positions[0]}"
        return f"SendJob(slave={command.slave}, job={command.job}, {shown})"
    return repr(command)
