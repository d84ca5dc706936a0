"""Jobs that are out, and which event may happen to them in which state."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from tracking.core.events import Event, JobDone, JobFailed, JobProgressed, JobReturned, JobsDone, SlaveLost

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
        table[state, JobDone] = table[state, JobsDone] = JobState.DONE
        table[state, JobFailed] = JobState.FAILED
        table[state, JobProgressed] = JobState.RUNNING
        table[state, SlaveLost] = JobState.LOST
    for state in (JobState.QUEUED, JobState.RECALLED):
        table[state, JobReturned] = JobState.RETURNED
    for event in (JobDone, JobsDone, JobFailed, JobReturned, SlaveLost):
        table[JobState.CANCELLED, event] = JobState.LOST
    table[JobState.CANCELLED, JobProgressed] = JobState.CANCELLED
    return table


TRANSITIONS = _transitions()
"""(state, type of event) -> next state; what is not here cannot happen."""


class JobView(NamedTuple):
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
        "announced",  # the item (its position) that the slave said it works on now; None: that is not known
        "began_at",  # when the job before it on its slave ended, or its last progress; None: still queued
        "generation",  # 0, or one more than that of the job it is a spare copy of
        "given_at",
        "has_whole_life",  # it is one item, and its slave had all of its limited time before it
        "is_alone",  # its items are suspected of killing slaves: nothing else is queued on its slave
        "is_copied",  # spare copies of it are out
        "is_overdue",  # was over its time limit when somebody looked, but that was late
        "is_timed_out",
        "left",  # how many of its items the slave has not reported yet
        "number",
        "positions",
        "race",  # the live jobs that share items with it, itself included; None: nobody does, nor ever will
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
        self.announced: int | None = None
        self.began_at: float | None = None
        self.recalled_at = 0.0
        self.race: list[Job] | None = None
        self.has_whole_life = False
        self.is_copied = False
        self.is_overdue = False
        self.is_timed_out = False

    def join(self, original: Job) -> None:
        """Become a spare copy (of a part) of ``original``."""
        if original.race is None:
            original.race = [original]
        original.race.append(self)
        original.is_copied = True
        self.race = original.race
        self.generation = original.generation + 1

    def enter(self, race: list[Job] | None) -> None:
        """Take over items from those in this race, which are still expected to answer; if there are any."""
        if race:
            race.append(self)
            self.race = race
            self.generation = race[0].generation

    def open_race(self) -> list[Job]:
        """Let others take over items of this job."""
        if self.race is None:
            self.race = [self]
        self.is_copied = True
        return self.race

    def close_race(self) -> None:
        """End its race if nobody is left in it but this job."""
        if self.race is not None and len(self.race) == 1:
            self.race = None
            self.is_copied = False

    @property
    def silent_race(self) -> list[Job] | None:
        """Its race, if there are others in it whose slaves are silent."""
        others = self.race or ()
        return self.race if any(other.slave.is_silent for other in others if other is not self) else None

    def unshared(self, positions: Sequence[int]) -> Sequence[int]:
        """Those of these positions that no other job of its race holds, silent slaves not counted."""
        if self.race is None:
            return positions
        others = [other.positions for other in self.race if other is not self and not other.slave.is_silent]
        return tuple(p for p in positions if not any(p in held for held in others)) if others else positions

    def leave_race(self) -> list[Job]:
        """Run on its own; returns the others."""
        race = self.race
        if race is None:
            return []
        self.race = None
        race.remove(self)
        rest = list(race)
        if len(rest) == 1 and not rest[0].slave.is_silent:  # those who take over from a silent one may still come
            rest[0].close_race()
            race.clear()
        return rest
