"""Who wants to know which slaves there are: told as a client of the crew, without using any.

::

    crew, under its lock --> Watch --> tell(SlaveCame | SlaveLeft | SlaveFellSilent | SlaveIsHeard | NoneIsLeft)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tracking.pool.client import SlaveGone, SlaveInfo
from tracking.pool.crew import Crew
from tracking.pool.naming import MASTER_NUMBERS
from tracking.wire.channel import Message


@dataclass(frozen=True, slots=True)
class SlaveCame:
    """It is up."""

    slave: SlaveInfo


@dataclass(frozen=True, slots=True)
class SlaveLeft:
    """It has ended, or never came up.

    Attributes:
        slave: who.
        how: in words ("killed by SIGKILL").
        is_wanted: it was told to.
        last_lines: what it has printed last.
    """

    slave: SlaveInfo
    how: str
    is_wanted: bool
    last_lines: str


@dataclass(frozen=True, slots=True)
class SlaveFellSilent:
    """It does not answer, nor is it seen to work."""

    slave: SlaveInfo


@dataclass(frozen=True, slots=True)
class SlaveIsHeard:
    """It was silent, and has said something."""

    slave: SlaveInfo


@dataclass(frozen=True, slots=True)
class NoneIsLeft:
    """No slave is left, and none will come, unless hosts are added; or the pool ends.

    Attributes:
        why: in words.
    """

    why: str


SlaveNews = SlaveCame | SlaveLeft | SlaveFellSilent | SlaveIsHeard | NoneIsLeft


class Watch:
    """Somebody who is told; see ``SlavePool.watch``."""

    can_drive = False
    is_busy: bool = False

    def __init__(self, crew: Crew, tell: Callable[[SlaveNews], object]) -> None:
        self.calculation = next(MASTER_NUMBERS)
        self._crew = crew
        self._tell_user = tell
        self._why_none = ""  # what was told last, if that was that none is left

    def _tell(self, news: SlaveNews) -> None:
        self._why_none = news.why if isinstance(news, NoneIsLeft) else ""
        self._tell_user(news)

    def close(self) -> None:
        """Be told no more. May be called twice, and in a forked child."""
        if self._crew.is_own:
            self._crew.detach(self)

    # ---- what the crew tells, under its lock

    def deliver(self, tid: int, message: Message) -> None:
        """Nobody says anything to who only watches."""

    def slave_is_up(self, slave: SlaveInfo) -> None:
        self._tell(SlaveCame(slave))

    def slave_is_silent(self, slave: SlaveInfo) -> None:
        self._tell(SlaveFellSilent(slave))

    def slave_is_heard(self, slave: SlaveInfo) -> None:
        self._tell(SlaveIsHeard(slave))

    def slave_is_leaving(self, slave: SlaveInfo) -> None:
        """It is told when it has left."""

    def hosts_were_added(self) -> None:
        """Their slaves are told of when they come."""
        self._why_none = ""

    def host_is_given_up(self, host: str, why: str) -> None:
        """Its slaves have been told of."""

    def slave_is_lost(self, gone: SlaveGone) -> None:
        self._tell(SlaveLeft(gone.slave, gone.how, gone.on_purpose, gone.last_lines))

    def crew_is_lost(self, why: str) -> None:
        if why != self._why_none:  # the crew may say it twice: who adds slaves meanwhile would think it is of them
            self._tell(NoneIsLeft(why))
