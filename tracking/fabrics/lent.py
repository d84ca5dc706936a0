"""Shared memory that is lent to the slaves of a relay: it goes over its line once, and is mapped there by all.

::

    lend(tid, shared)   first time: keep, all its bytes, seal ---> relay   (see ``tracking.slave.shelf``)
                          or borrow: a relay beside it has it, or will have it soon
                        what the slave is sent from now on waits here until ...
    heard "kept"  <------------------------------------------------ ... it is there
    take_back(shared)   drop ------------------------------------->

Where each slave has a relay of its own, as in queues, those of one host so get it once together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from tracking.errors import ProtocolError
from tracking.slave.relay import streams_of
from tracking.slave.shelf import LAST_PARCEL, stream_of
from tracking.wire import talk
from tracking.wire.mapped import SharedPayload
from tracking.wire.pump import Pump


class _Parcel:
    """What a relay is to have.

    Attributes:
        number: by which both ends call it.
        shared: what it is.
        is_there: it is all there, as the relay has said; None: it has not said anything yet.
        is_sent: its bytes have gone over this line, or do so.
        waiting: the slaves to whom nothing goes before.
        followers: relays that will borrow it from this one.
    """

    def __init__(self, number: int, shared: SharedPayload) -> None:
        self.number = number
        self.shared = shared
        self.is_there: bool | None = None
        self.is_sent = False
        self.waiting: set[int] = set()
        self.followers: list[Lent] = []


class Lent:
    """What one relay was lent.

    Args:
        pump: of its line.

    Attributes:
        pid: of its process on its host.
    """

    def __init__(self, pump: Pump) -> None:
        self.pid = 0
        self._pump = pump
        self._parcels: dict[bytes, _Parcel] = {}  # by key
        self._last_number = 0

    def lend(self, tid: int, shared: SharedPayload, beside: Iterable[Lent] = ()) -> bool:
        """Let this slave open it, in what it is sent from now on. False: there is no room for it at the relay.

        Args:
            beside: what other relays were lent that are on this host, as it seems.
        """
        parcel = self._parcels.get(shared.key)
        if parcel is None:
            if shared.is_closed:
                return False
            self._last_number = self._last_number % LAST_PARCEL + 1
            parcel = self._parcels[shared.key] = _Parcel(self._last_number, shared)
            self._get(parcel, beside)
        if parcel.is_there is False:
            return False
        if parcel.is_there is None:
            parcel.waiting.add(tid)
            self._pump.hold(streams_of(tid)[0])
        return True

    def _get(self, parcel: _Parcel, beside: Iterable[Lent]) -> None:
        """Borrow it, now or when a relay beside this one has it; if there is none, send it."""
        for other in beside:
            its = other._parcels.get(parcel.shared.key)
            if its is not None and its.is_there:
                self._borrow(parcel, other.pid)
                return
            if its is not None and its.is_sent and its.is_there is None:
                its.followers.append(self)
                return
        self._send(parcel)

    def _borrow(self, parcel: _Parcel, pid: int) -> None:
        self._pump.say(do="borrow", **self._words(parcel), pid=pid)
        self._pump.flush()

    def _send(self, parcel: _Parcel) -> None:
        try:
            memory = parcel.shared.descriptor()
        except OSError:  # too many open files; or it was closed, and its calculation is over
            self._is_settled(parcel, is_there=False)
            return
        parcel.is_sent = True
        self._pump.say(do="keep", **self._words(parcel))
        seal = partial(self._pump.say, do="seal", parcel=parcel.number)
        self._pump.send_file(stream_of(parcel.number), memory, then=seal)
        self._pump.flush()

    @staticmethod
    def _words(parcel: _Parcel) -> dict[str, Any]:
        return {"parcel": parcel.number, "key": parcel.shared.key.hex(), "extent": parcel.shared.extent}

    # ---- what comes of it

    def heard(self, news: Mapping[str, Any]) -> None:
        """The relay has all of a parcel, or has not got it."""
        number = talk.number(news, "parcel", 1, LAST_PARCEL)
        is_well = news.get("well")
        if not isinstance(is_well, bool):
            raise ProtocolError("'well' is neither true nor false")
        for parcel in self._parcels.values():
            if parcel.number == number and parcel.is_there is None:
                if is_well or parcel.is_sent:
                    self._is_settled(parcel, is_there=is_well)
                else:
                    self._send(parcel)  # there was nothing to be borrowed
                return  # else it was taken back meanwhile

    def _is_settled(self, parcel: _Parcel, *, is_there: bool) -> None:
        parcel.is_there = is_there
        self._pump.detach(stream_of(parcel.number))
        self._release(parcel)
        followers, parcel.followers = parcel.followers, []
        for follower in followers:
            follower._leader_has(parcel.shared, self.pid if is_there else 0)

    def _leader_has(self, shared: SharedPayload, pid: int) -> None:
        """The relay from which it was to be borrowed has it now; 0: it will not have it."""
        parcel = self._parcels.get(shared.key)
        if parcel is None or parcel.is_sent or parcel.is_there is not None:
            return
        if pid:
            self._borrow(parcel, pid)
        else:
            self._send(parcel)

    def is_lost(self) -> None:
        """The relay is lost, with all that it had."""
        parcels, self._parcels = self._parcels, {}
        for parcel in parcels.values():
            for follower in parcel.followers:
                follower._leader_has(parcel.shared, 0)

    def take_back(self, shared: SharedPayload) -> None:
        """No slave opens it any more, be it here or at another relay."""
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
