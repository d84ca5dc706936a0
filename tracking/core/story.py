"""The latest events and what was done about them, so that an error can tell how it came to that."""

from __future__ import annotations

from collections import deque

from tracking.core.commands import Command, SendJob
from tracking.core.events import Event

_LENGTH = 2000


class Story:
    """A ring of recent events with their commands; its size does not depend on the calculation's."""

    __slots__ = ("_entries", "add")

    def __init__(self) -> None:
        self._entries: deque[tuple[float, Event, tuple[Command, ...]]] = deque(maxlen=_LENGTH)
        self.add = self._entries.append

    def of_job(self, job: int) -> tuple[str, ...]:
        """What happened to this job, oldest first."""
        lines: list[str] = []
        slave: int | None = None
        for now, event, commands in self._entries:
            event_job = getattr(event, "job", None)
            if event_job == job or (event_job is None and getattr(event, "slave", slave) == slave is not None):
                lines.append(f"{now:.6f} {event!r}")
            for command in commands:
                if getattr(command, "job", None) == job:
                    lines.append(f"{now:.6f} -> {_short(command)}")
                    slave = command.slave if isinstance(command, SendJob) else slave
        return tuple(lines)


def _short(command: Command) -> str:
    if isinstance(command, SendJob) and len(command.positions) > 5:
        shown = f"{len(command.positions)} positions from {command.positions[0]}"
        return f"SendJob(slave={command.slave}, job={command.job}, {shown})"
    return repr(command)
