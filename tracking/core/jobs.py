"""Jobs that are out, and which event may happen to them in which state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from tracking.core.events import Event, JobDone, JobFailed, JobProgressed, JobReturned, SlaveLost

if TYPE_CHECKING:
    from tracking.core.slaves import Slave


class JobState(IntEnum):
    """Where a job is. The upper four are live: the slave holds it; the others are ends."""

    QUEUED = 1  # behind other jobs of its slave
    RUNNING = 2
    RECALLED = 3  # asked back; whether the slave has begun it meanwhile is not known
    CANCELLED = 4  # its answer is not wanted any more, and has not come yet
    DONE = 5
    FAILED = 6
    RETURNED = 7
    LOST = 8


def _transitions() -> dict[tuple[JobState, type[Event]], JobState]:
    table: dict[tuple[JobState, type[Event]], JobState] = {}
    for state in (JobState.QUEUED, JobState.RUNNING, JobState.RECALLED):
        table[state, JobDone] = JobState.DONE
        table[state, JobFailed] = JobState.FAILED
        table[state, JobProgressed] = JobState.RUNNING
        table[state, SlaveLost] = JobState.LOST
    table[JobState.RECALLED, JobReturned] = JobState.RETURNED
    for event in (JobDone, JobFailed, JobReturned, SlaveLost):
        table[JobState.CANCELLED, event] = JobState.LOST
    table[JobState.CANCELLED, JobProgressed] = JobState.CANCELLED
    return table


TRANSITIONS = _transitions()
"""(state, type of event) -> next state; what is not here cannot happen."""


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as others may see it.

    Attributes:
        slave: the number of the slave that holds it.
        positions: its items.
        given_at: when it was given out, on the scheduler's clock.
    """

    slave: int
    positions: Sequence[int]
    given_at: float


class Job:
    """One giving-out of some items to one slave; its number never comes again."""

    __slots__ = (
        "began_at",  # when the job before it on its slave ended, or its last progress; None: still queued
        "generation",  # 0, or one more than that of the job it is a spare copy of
        "given_at",
        "is_alone",  # its items are suspected of killing slaves: nothing else is queued on its slave
        "is_copied",  # spare copies of it are out
        "is_timed_out",
        "left",  # how many of its items the slave has not reported yet
        "number",
        "positions",
        "race",  # the live jobs that share items with it, itself included; None: nobody does
        "recalled_at",
        "slave",
        "state",
        "tries",  # how often its items were begun before
    )

    def __init__(
        self,
        number: int,
        slave: Slave,
        positions: Sequence[int],
        given_at: float,
        tries: int = 0,
        is_alone: bool = False,
    ) -> None:
        self.number = number
        self.slave = slave
        self.positions = positions
        self.given_at = given_at
        self.tries = tries
        self.is_alone = is_alone
        self.state = JobState.QUEUED
        self.left = len(positions)
        self.generation = 0
        self.began_at: float | None = None
        self.recalled_at = 0.0
        self.race: list[Job] | None = None
        self.is_copied = False
        self.is_timed_out = False

    def join(self, original: Job) -> None:
        """Become a spare copy (of a part) of ``original``."""
        if original.race is None:
            original.race = [original]
        original.race.append(self)
        original.is_copied = True
        self.race = original.race
        self.generation = original.generation + 1

    def unshared(self, positions: Sequence[int]) -> Sequence[int]:
        """Those of these positions that no other job of its race holds."""
        if self.race is None:
            return positions
        others = [other.positions for other in self.race if other is not self]
        return tuple(p for p in positions if not any(p in held for held in others))

    def leave_race(self) -> list[Job]:
        """Run on its own; returns the others."""
        race = self.race
        if race is None:
            return []
        self.race = None
        race.remove(self)
        if len(race) == 1:
            last = race[0]
            last.race = None
            last.is_copied = False
            return [last]
        return race
