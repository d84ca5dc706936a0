"""Large payloads, held once on each host for all its slaves.

::

    a client                                   the crew: Lending
    Parcels.of(tid, payload)                     lend(tid, shared)
      copied into shared memory, once    ----->    slave of this machine: maps that memory
      SharedPayload goes to the slave              elsewhere: its fabric brings it to the host, once for all there
    Parcels.close()                      ----->  take_back(shared): here and there

Where nothing can be lent, the payload itself goes to each slave.
"""

from __future__ import annotations

from collections.abc import Mapping
from threading import RLock
from typing import TYPE_CHECKING

from tracking.pool.slaves import Slave
from tracking.pool.watching import Watched
from tracking.wire import mapped
from tracking.wire.codec import Payload

if TYPE_CHECKING:
    from tracking.pool.crew import Crew


class Lending:
    """What shared memory is lent to slaves of a crew; from any thread.

    Args:
        lock: of the crew.
        slaves: those that live or are being started, by number.
        fabrics: those that have started slaves.
    """

    def __init__(self, lock: RLock, slaves: Mapping[int, Slave], fabrics: Watched) -> None:
        self._lock = lock
        self._slaves = slaves
        self._fabrics = fabrics
        self._lent: dict[bytes, mapped.SharedPayload] = {}  # by key

    def can_lend(self, tid: int) -> bool:
        """Whether shared memory can be lent to this slave."""
        with self._lock:
            slave = self._slaves.get(tid)
            return slave is not None and slave.place.fabric.can_lend(tid)

    def lend(self, tid: int, shared: mapped.SharedPayload) -> bool:
        """Let a slave open this, in all messages that are sent to it from now on. False: it cannot."""
        with self._lock:
            slave = self._slaves.get(tid)
            if slave is None or not slave.place.fabric.lend(tid, shared):
                return False
            self._lent[shared.key] = shared
            return True

    def take_back(self, shared: mapped.SharedPayload) -> None:
        """No slave opens this any more: it is closed here, and where it was brought to."""
        with self._lock:
            if self._lent.pop(shared.key, None) is not None:
                for fabric in self._fabrics.all():
                    fabric.take_back(shared)
            shared.close()

    def close(self) -> None:
        """All slaves are to end."""
        for shared in list(self._lent.values()):
            self.take_back(shared)


class Parcels:
    """What a client sends to many slaves, and is large; used by one thread at a time.

    Args:
        crew: the slaves.
    """

    def __init__(self, crew: Crew) -> None:
        self._lending = crew.lending
        self._shared: list[mapped.SharedPayload] = []
        self._wrapped: dict[int, tuple[Payload, mapped.SharedPayload | None]] = {}  # by id

    def wrap(self, payload: Payload) -> None:
        """This very payload will go to all slaves, as it is now: ``of`` will know it without looking into it."""
        if payload.size >= mapped.SHARE_FROM_BYTES and id(payload) not in self._wrapped:
            self._wrapped[id(payload)] = payload, self._new(payload)

    def of(self, tid: int, payload: Payload) -> Payload | mapped.SharedPayload:
        """What to send to this slave: equal payloads lie in memory once for all slaves of a host."""
        if payload.size < mapped.SHARE_FROM_BYTES or not self._lending.can_lend(tid):
            return payload
        if id(payload) in self._wrapped:
            shared = self._wrapped[id(payload)][1]
        else:
            shared = self._known(payload) or self._new(payload)
        return shared if shared is not None and self._lending.lend(tid, shared) else payload

    def _known(self, payload: Payload) -> mapped.SharedPayload | None:
        """What holds the same bytes: the user's object may have changed since it was sent to another slave."""
        return next((shared for shared in self._shared if shared.holds(payload)), None)

    def _new(self, payload: Payload) -> mapped.SharedPayload | None:
        shared = mapped.share(payload)
        if shared is not None:
            self._shared.append(shared)
        return shared

    def close(self) -> None:
        """No slave needs any of it any more."""
        for shared in self._shared:
            self._lending.take_back(shared)
        self._shared.clear()
        self._wrapped.clear()
