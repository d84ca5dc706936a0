"""Shared memory that is lent to the slaves of a relay: it goes over its line once, and is mapped there by all.

::

    lend(tid, shared)   first time: keep, all its bytes, seal ---> relay   (see ``tracking.slave.shelf``)
                        what the slave is sent from now on waits here until ...
    heard "kept"  <------------------------------------------------ ... it is there
    take_back(shared)   drop ------------------------------------->
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from tracking.errors import ProtocolError
from tracking.slave.relay import streams_of
from tracking.slave.shelf import LAST_PARCEL, stream_of
from tracking.wire import talk
from tracking.wire.mapped import SharedPayload
from tracking.wire.pump import Pump


class _Parcel:
    """What was sent to a relay.

    Attributes:
        number: by which both ends call it.
        is_there: it is all there, as the relay has said; None: it has not said anything yet.
        waiting: the slaves to whom nothing goes before.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.is_there: bool | None = None
        self.waiting: set[int] = set()


class Lent:
    """What one relay was lent.

    Args:
        pump: of its line.
    """

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self._parcels: dict[bytes, _Parcel] = {}  # by key
        self._last_number = 0

    def lend(self, tid: int, shared: SharedPayload) -> bool:
        """Let this slave open it, in what it is sent from now on. False: there is no room for it at the relay."""
        parcel = self._parcels.get(shared.key)
        if parcel is None:
            parcel = self._send(shared)
        if parcel is None or parcel.is_there is False:
            return False
        if parcel.is_there is None:
            parcel.waiting.add(tid)
            self._pump.hold(streams_of(tid)[0])
        return True

    def _send(self, shared: SharedPayload) -> _Parcel | None:
        try:
            memory = shared.descriptor()
        except OSError:
            return None
        self._last_number = number = self._last_number % LAST_PARCEL + 1
        parcel = self._parcels[shared.key] = _Parcel(number)
        self._pump.say(do="keep", parcel=number, key=shared.key.hex(), extent=shared.extent)
        self._pump.send_file(stream_of(number), memory, then=partial(self._pump.say, do="seal", parcel=number))
        self._pump.flush()
        return parcel

    def heard(self, news: Mapping[str, Any]) -> None:
        """The relay has all of a parcel, or no room for it."""
        number = talk.number(news, "parcel", 1, LAST_PARCEL)
        is_well = news.get("well")
        if not isinstance(is_well, bool):
            raise ProtocolError("'well' is neither true nor false")
        for parcel in self._parcels.values():
            if parcel.number == number and parcel.is_there is None:
                parcel.is_there = is_well
                self._pump.detach(stream_of(number))
                self._release(parcel)
                return  # else it was taken back meanwhile

    def take_back(self, shared: SharedPayload) -> None:
        """No slave opens it any more."""
        parcel = self._parcels.pop(shared.key, None)
        if parcel is not None:
            self._pump.detach(stream_of(parcel.number))
            self._pump.say(do="drop", parcel=parcel.number)
            self._release(parcel)
            self._pump.flush()

    def forget(self, tid: int) -> None:
        """The slave has ended."""
        for parcel in self._parcels.values():
            parcel.waiting.discard(tid)

    def _release(self, parcel: _Parcel) -> None:
        waiting, parcel.waiting = parcel.waiting, set()
        for tid in waiting:
            if not any(tid in other.waiting for other in self._parcels.values()):
                self._pump.release(streams_of(tid)[0])
