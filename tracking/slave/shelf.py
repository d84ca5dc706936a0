"""Shared memory that a relay keeps for its slaves: comes over its line once, for however many of them.

::

    master: keep, stream of the bytes, seal --> Shelf: memory that bears the key in its name
            or borrow: another relay of this host has it
            drop                            -->   its slaves find it among the descriptors of their parent
    hears:  kept (or not: no memory)        <--
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from tracking.errors import ProtocolError
from tracking.wire import mapped, talk
from tracking.wire.pump import Pump

LAST_PARCEL = talk.LAST_TID  # they have one of the four streams of that number
CAN_KEEP = sys.platform == "linux" and os.path.isdir("/proc/self/fd")
LAST_PID = 1 << 31
_MOST_BYTES = 1 << 50
_KEY_BYTES = 16


def stream_of(parcel: int) -> int:
    """The stream by which it comes; those of slaves are others."""
    return parcel * 4


class Shelf:
    """What is kept.

    Args:
        pump: of the line to the master.
    """

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self._kept: dict[int, tuple[int, int]] = {}  # parcel -> descriptor, bytes that there shall be

    def keep(self, order: Mapping[str, Any]) -> None:
        """Its bytes come from now on."""
        parcel = self._number_in(order)
        if parcel in self._kept:
            raise ProtocolError("what is to be kept is there already")
        key, extent = _key_in(order), talk.number(order, "extent", 1, _MOST_BYTES)
        try:
            memory = mapped.empty_memory(key)
        except OSError:
            self._tell(parcel, is_kept=False)
            return
        self._kept[parcel] = memory, extent
        try:
            self._pump.attach(stream_of(parcel), os.dup(memory), is_read=False)
        except OSError:
            self._refuse(parcel)

    def borrow(self, order: Mapping[str, Any]) -> None:
        """Another relay has all of it, on this host as it seems: it is kept here, too, whatever becomes of that one."""
        parcel = self._number_in(order)
        if parcel in self._kept:
            raise ProtocolError("what is to be borrowed is there already")
        key, extent = _key_in(order), talk.number(order, "extent", 1, _MOST_BYTES)
        path = mapped.lent_by(talk.number(order, "pid", 1, LAST_PID), key)
        try:
            self._kept[parcel] = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), extent
        except OSError:  # it is on another host after all, or of another user
            self._tell(parcel, is_kept=False)
            return
        memory, _ = self._kept[parcel]
        if os.fstat(memory).st_size != extent:
            self._refuse(parcel)
        else:
            self._tell(parcel, is_kept=True)

    def seal(self, order: Mapping[str, Any]) -> None:
        """All its bytes have come."""
        parcel = self._number_in(order)
        if parcel not in self._kept:
            return  # there was no room for it
        memory, extent = self._kept[parcel]
        if os.fstat(memory).st_size != extent:  # some of it could not be written
            self._refuse(parcel)
            return
        mapped.seal(memory)
        self._tell(parcel, is_kept=True)

    def drop(self, order: Mapping[str, Any]) -> None:
        """Nobody here opens it any more; who has opened it keeps it."""
        parcel = self._number_in(order)
        self._pump.detach(stream_of(parcel))
        memory, _ = self._kept.pop(parcel, (-1, 0))
        if memory >= 0:
            os.close(memory)

    def _refuse(self, parcel: int) -> None:
        memory, _ = self._kept.pop(parcel)
        os.close(memory)
        self._tell(parcel, is_kept=False)

    def _tell(self, parcel: int, *, is_kept: bool) -> None:
        self._pump.say(**{"is": "kept"}, parcel=parcel, well=is_kept)

    @staticmethod
    def _number_in(order: Mapping[str, Any]) -> int:
        return talk.number(order, "parcel", 1, LAST_PARCEL)


def _key_in(order: Mapping[str, Any]) -> bytes:
    try:
        key = bytes.fromhex(talk.text(order, "key"))
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise ProtocolError(f"'key' is none of {_KEY_BYTES} bytes")
    return key
