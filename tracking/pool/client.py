"""Between a crew and those who use it: what they are told, and how a slave is spoken of."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from tracking.core.lifetimes import Life
from tracking.wire.channel import Message

MOST_LOSSES_IN_SETUP = 20
"""So many slaves in a row that are lost with their hosts while they are made ready: their setup brings hosts down."""

JobKey = tuple[int, int]
"""(calculation, job)"""

SETUP = -1
"""Stands for the job of being made ready for a calculation, where it is told what a lost slave was doing."""

NOTHING: JobKey = (0, 0)
"""Stands for no job of anybody, in the same place."""


class SlaveInfo(NamedTuple):
    """Who a slave is. Times are on the crew's clock.

    Attributes:
        tid, nickname: its number, and what people call it.
        host: where it is; before it is up, where it is to be.
        started_at: when its start began.
        came_at: when it got its lines, where it may stay for a limited time.
        ends_at: when its time is up; None: it may stay as long as it likes.
        shares_memory: it is on this machine, and may map memory of this process.
    """

    tid: int
    nickname: str
    host: str
    started_at: float = 0.0
    came_at: float = 0.0
    ends_at: float | None = None
    shares_memory: bool = True

    def __eq__(self, other: object) -> bool:
        """Whether it is the same one, whatever is known of it by now."""
        return isinstance(other, SlaveInfo) and self[:3] == other[:3]

    def __ne__(self, other: object) -> bool:
        """Whether it is another one."""
        return not self == other

    def __hash__(self) -> int:
        """As it is compared."""
        return hash(self[:3])

    @property
    def life_s(self) -> float | None:
        """The whole time that it may stay, in seconds; None: as long as it likes."""
        return None if self.ends_at is None else self.ends_at - self.came_at

    def is_over(self, now: float) -> bool:
        """Whether its time is up, or will be in a moment."""
        return self.ends_at is not None and now >= Life(self.came_at, self.ends_at, now).closes_at


def late_words(slave: SlaveInfo) -> str:
    """How a slave ended whose time was up before it was ready for work.

    >>> late_words(SlaveInfo(1, "queue_0", "node", came_at=10.0, ends_at=70.0))
    'out of time: the 60 s that it may stay were over before it was ready for work'
    """
    life_s = round(slave.life_s or 0.0, 1)
    return f"out of time: the {life_s:g} s that it may stay were over before it was ready for work"


def outlasted_words(slave: SlaveInfo) -> str:
    """Of an item that was still running when the time of this slave was up, as of others before.

    >>> outlasted_words(SlaveInfo(1, "queue_0", "node", came_at=10.0, ends_at=70.0))
    'was not done in the 60 s that its slave may stay: allow slaves a longer time limit, or make items smaller'
    """
    life_s = round(slave.life_s or 0.0, 1)
    advice = "allow slaves a longer time limit, or make items smaller"
    return f"was not done in the {life_s:g} s that its slave may stay: {advice}"


class SlaveGone(NamedTuple):
    """A slave has ended.

    Attributes:
        slave: who.
        how: in words ("killed by SIGKILL").
        jobs: of all calculations, that had no answer yet, in their order: it was working on the first of them. If it
            was just being made ready for a calculation, (that calculation, SETUP) comes before them; NOTHING if it is
            known that it had begun none of them.
        on_purpose: it was told to end, or was ended by us.
        last_lines: what it has printed last.
        is_innocent: what ended is its host, its line or its time in a queue; none of its jobs is to blame.
    """

    slave: SlaveInfo
    how: str
    jobs: tuple[JobKey, ...]
    on_purpose: bool
    last_lines: str
    is_innocent: bool = False


class Client(Protocol):
    """A calculation that uses the crew. Its methods are called under the crew's lock: they only take note."""

    calculation: int
    can_drive: bool  # its thread turns the loop itself when it is the only one who wants something

    @property
    def is_busy(self) -> bool:
        """Whether it waits for anything at all."""

    def deliver(self, tid: int, message: Message) -> None:
        """A message of this calculation came."""

    def slave_is_up(self, slave: SlaveInfo) -> None:
        """A slave can be spoken to."""

    def slave_is_silent(self, slave: SlaveInfo) -> None:
        """A slave does not answer; it still belongs to the crew, and what it says counts."""

    def slave_is_heard(self, slave: SlaveInfo) -> None:
        """A slave that was silent has spoken, and may be given jobs again."""

    def slave_is_leaving(self, slave: SlaveInfo) -> None:
        """A slave gets no more jobs, since its host was removed: it ends when it has done those that it has."""

    def hosts_were_added(self) -> None:
        """Slaves will come, even if none was left to hope for."""

    def host_is_given_up(self, host: str, why: str) -> None:
        """No slave will come on this host any more; those that live there may work on."""

    def slave_is_lost(self, gone: SlaveGone) -> None:
        """A slave has ended."""

    def crew_is_lost(self, why: str) -> None:
        """No slave is left, and none can be started; or the crew ends."""
