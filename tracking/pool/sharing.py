"""An object that the slaves of a pool share: sent once to each host, and named in calls from then on."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

from tracking.pool.client import SlaveGone, SlaveInfo
from tracking.pool.crew import Crew
from tracking.pool.lending import Parcels
from tracking.pool.naming import MASTER_NUMBERS
from tracking.slave import sharing
from tracking.wire import messages as m
from tracking.wire.channel import Message
from tracking.wire.codec import Payload


class Shared:
    """Stands for the object in all that is sent to slaves of the pool; there it is the object. See ``SlavePool.share``.

    Args:
        crew: the slaves.
        payload: what they share.
    """

    def __init__(self, crew: Crew, payload: Payload) -> None:
        self._crew = crew
        self._size = payload.size
        self._is_closed = False
        self._giver = _Giver(crew, payload)
        crew.attach(self._giver)

    def __repr__(self) -> str:
        return f"Shared: {self._size} bytes{', closed' if self._is_closed else ''}"

    def __reduce__(self) -> tuple[Callable[[int], Any], tuple[int]]:
        return sharing.resolve, (self._giver.calculation,)

    def close(self) -> None:
        """Share it no more: calls that have no outcome yet fail where they need it. May be called twice."""
        if self._crew.is_own and not self._is_closed:
            self._is_closed = True
            self._crew.detach(self._giver)
            self._giver.close()

    def __enter__(self) -> Shared:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class _Giver:
    """The crew's client that gives it to slaves, those that come later, too."""

    can_drive = False
    is_busy: bool = False

    def __init__(self, crew: Crew, payload: Payload) -> None:
        self.calculation = next(MASTER_NUMBERS)
        self._crew = crew
        self._payload = payload
        self._parcels = Parcels(crew)
        self._parcels.wrap(payload)

    def close(self) -> None:
        """Nobody needs it any more."""
        self._parcels.close()

    # ---- what the crew tells, under its lock

    def slave_is_up(self, slave: SlaveInfo) -> None:
        what = self._parcels.of(slave.tid, self._payload)
        self._crew.send(slave.tid, (m.HELD, self.calculation, what))

    def deliver(self, tid: int, message: Message) -> None:
        """Nobody answers."""

    def slave_is_silent(self, slave: SlaveInfo) -> None:
        """It has it all the same."""

    def slave_is_heard(self, slave: SlaveInfo) -> None:
        """It has had it all the time."""

    def slave_is_leaving(self, slave: SlaveInfo) -> None:
        """It may need it for the rest of its work."""

    def hosts_were_added(self) -> None:
        """Their slaves get it when they come."""

    def host_is_given_up(self, host: str, why: str) -> None:
        """Its slaves may need it."""

    def slave_is_lost(self, gone: SlaveGone) -> None:
        """The one in its place gets it, too."""

    def crew_is_lost(self, why: str) -> None:
        """Others may come; at the end of the crew all that was lent is taken back."""
