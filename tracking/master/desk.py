"""The master's desk: what comes from the crew lies here until the master's thread takes it up.

A master that is the only one to want something of its crew turns the crew's loop itself, in its own thread,
without any hand-over; several on one pool are served by the pool's thread. The crew says which it is.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import NamedTuple

from tracking.pool.client import SlaveGone, SlaveInfo
from tracking.pool.crew import Crew
from tracking.wire.channel import Message

_NOTES_AT_A_TIME = 16  # after so many, slaves are sent what came of them


class Came(NamedTuple):
    """A message of this calculation came from a slave."""

    tid: int
    message: Message


class SlaveUp(NamedTuple):
    """A slave can be spoken to."""

    slave: SlaveInfo


class SlaveQuiet(NamedTuple):
    """A slave does not answer (``is_silent``), or does again."""

    slave: SlaveInfo
    is_silent: bool


class SlaveLeaving(NamedTuple):
    """A slave gets no more jobs, and ends when it has done those that it has."""

    slave: SlaveInfo


class CrewGone(NamedTuple):
    """No slave is left and none can be started."""

    why: str


class Woken:
    """Somebody wants the master to look around."""


class Asked(NamedTuple):
    """Somebody wants this done in the master's thread, between two messages."""

    action: Callable[[], None]


Note = Asked | Came | SlaveUp | SlaveQuiet | SlaveLeaving | SlaveGone | CrewGone | Woken


class Desk:
    """A crew's client.

    Args:
        calculation: its number, sent with every message.
        crew: the slaves.
    """

    can_drive = True
    is_busy = True

    def __init__(self, calculation: int, crew: Crew) -> None:
        self.calculation = calculation
        self._crew = crew
        self._notes: SimpleQueue[Note] = SimpleQueue()

    # ---- called by whoever drives the crew, under its lock

    def deliver(self, tid: int, message: Message) -> None:
        self._notes.put(Came(tid, message))

    def slave_is_up(self, slave: SlaveInfo) -> None:
        self._notes.put(SlaveUp(slave))

    def slave_is_silent(self, slave: SlaveInfo) -> None:
        self._notes.put(SlaveQuiet(slave, is_silent=True))

    def slave_is_heard(self, slave: SlaveInfo) -> None:
        self._notes.put(SlaveQuiet(slave, is_silent=False))

    def slave_is_leaving(self, slave: SlaveInfo) -> None:
        self._notes.put(SlaveLeaving(slave))

    def hosts_were_added(self) -> None:
        """That there is hope again is seen when it matters."""

    def host_is_given_up(self, host: str, why: str) -> None:
        self._notes.put(Woken())  # it may have been the last that there was hope for

    def slave_is_lost(self, gone: SlaveGone) -> None:
        self._notes.put(gone)

    def crew_is_lost(self, why: str) -> None:
        self._notes.put(CrewGone(why))

    # ---- called by anyone

    def wake(self) -> None:
        """Make a ``take`` that waits return."""
        self._notes.put(Woken())
        self._crew.wake()

    def ask(self, action: Callable[[], None]) -> None:
        """Have something done in the master's thread; if that comes to its end before, it is not done."""
        self._notes.put(Asked(action))
        self._crew.wake()

    # ---- called by the master's thread

    def _has_notes(self) -> bool:
        return not self._notes.empty()

    def take(self, timeout_s: float, handle: Callable[[Note], None], rest_s: float = 0.0) -> int:
        """Handle what has come, waiting at most so long for the first; how many there were.

        ``rest_s``: for so long it may well lie before.
        """
        notes = self._notes
        count = 0
        if self._crew.is_driver(self):
            if rest_s and notes.empty():
                self._crew.rest(rest_s)
            self._crew.turn_unless(self._has_notes, timeout_s)
        elif notes.empty():
            try:
                handle(notes.get(timeout=timeout_s) if timeout_s > 0 else notes.get_nowait())
                count = 1
            except Empty:
                return 0
        most = count + notes.qsize()  # what comes meanwhile waits for the next turn: there are other things to do
        while count < most and not notes.empty():  # a hook that waits for an answer takes notes, too
            handle(notes.get_nowait())
            count += 1
            if not count % _NOTES_AT_A_TIME:
                self._crew.flush_early()
        return count
