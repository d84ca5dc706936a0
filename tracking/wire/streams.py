"""Many streams of bytes over one line, none of which can hold up another: pure, bytes in, bytes out.

::

    frame    [stream: 4 bytes][kind: 1][length: 4] and so many bytes, in network order
    DATA     bytes of a stream; at most as many are under way as its receiver has room for
    CREDIT   so many more bytes of the stream may come (4 bytes)
    END      no more bytes of this stream come
    TALK     (stream 0) what the two ends say to each other: JSON
    BEAT     (stream 0) nothing but a sign of life

Each direction of a stream begins with room for ``WINDOW_BYTES``; who has passed bytes on gives as much credit back.
So what an end has taken in but not passed on is bounded for each stream, and the line itself is always read at once.
"""

from __future__ import annotations

import json
import struct
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, NamedTuple

from tracking.errors import ProtocolError

WINDOW_BYTES: Final = 2 * 1024 * 1024
LONGEST_FRAME_BYTES: Final = 64 * 1024
_HEADER: Final = struct.Struct("!IBI")
_CREDIT: Final = struct.Struct("!I")
_DATA, _CREDIT_KIND, _END, _TALK, _BEAT = 1, 2, 3, 4, 5
_SCRATCH_BYTES = 4 * LONGEST_FRAME_BYTES
_MOST_PIECES = 256
_CREDIT_FROM_BYTES = WINDOW_BYTES // 4


class Came(NamedTuple):
    """Bytes of a stream have come."""

    stream: int
    data: bytes


class Ended(NamedTuple):
    """No more bytes of this stream come."""

    stream: int


class MayGoOn(NamedTuple):
    """There is room again for bytes of this stream at the other end."""

    stream: int


class Said(NamedTuple):
    """The other end says something."""

    what: dict[str, Any]


Event = Came | Ended | MayGoOn | Said


class Streams:
    """One end of a line that carries many streams.

    Put what came into ``space()`` and tell ``received``; write ``pieces()`` and tell ``written``.
    """

    def __init__(self) -> None:
        self._scratch = memoryview(bytearray(_SCRATCH_BYTES))
        self._end = 0
        self._room: dict[int, int] = {}  # stream -> bytes that the other end has room for
        self._granted: dict[int, int] = {}  # stream -> bytes that the other end may still send
        self._passed_on: dict[int, int] = {}  # stream -> bytes passed on for which no credit was given yet
        self._outgoing: deque[bytes | memoryview] = deque()
        self.outgoing_bytes = 0

    # ---- streams

    def open(self, stream: int) -> None:
        """Both ends know of a stream from now on, by what they have said to each other."""
        self._room[stream] = self._granted[stream] = WINDOW_BYTES
        self._passed_on[stream] = 0

    def forget(self, stream: int) -> None:
        """What still comes of this stream is dropped."""
        for known in (self._room, self._granted, self._passed_on):
            known.pop(stream, None)

    def room(self, stream: int) -> int:
        """How many bytes of this stream may be sent now."""
        return self._room.get(stream, 0)

    # ---- sending

    def send(self, stream: int, data: bytes) -> None:
        """Send bytes of a stream: no more than there is ``room`` for, and one frame's worth."""
        assert len(data) <= min(self._room[stream], LONGEST_FRAME_BYTES)
        self._room[stream] -= len(data)
        self._put(stream, _DATA, data)

    def end(self, stream: int) -> None:
        """No more bytes of this stream are sent."""
        self._put(stream, _END, b"")

    def passed_on(self, stream: int, count: int) -> None:
        """So many bytes of the stream have been passed on: as many more may come, sooner or later."""
        if stream not in self._granted:
            return
        self._passed_on[stream] += count
        if self._passed_on[stream] >= _CREDIT_FROM_BYTES:
            credit, self._passed_on[stream] = self._passed_on[stream], 0
            self._granted[stream] += credit
            self._put(stream, _CREDIT_KIND, _CREDIT.pack(credit))

    def say(self, **what: Any) -> None:
        """Say something to the other end, behind all that was sent before."""
        body = json.dumps(what, separators=(",", ":")).encode()
        self._put(0, _TALK, body)

    def beat(self) -> None:
        """Give a sign of life."""
        self._put(0, _BEAT, b"")

    def _put(self, stream: int, kind: int, body: bytes) -> None:
        head = _HEADER.pack(stream, kind, len(body))
        if len(body) < 1024:
            self._outgoing.append(head + body)
        else:
            self._outgoing += (head, body)
        self.outgoing_bytes += len(head) + len(body)

    def pieces(self) -> list[bytes | memoryview]:
        """What is to be written, in this order; perhaps more comes after it."""
        return list(islice(self._outgoing, _MOST_PIECES))

    def written(self, count: int) -> None:
        """So many of these bytes were written."""
        self.outgoing_bytes -= count
        pieces = self._outgoing
        while pieces and count >= len(pieces[0]):
            count -= len(pieces.popleft())
        if count:
            pieces[0] = memoryview(pieces[0])[count:]

    # ---- receiving

    def space(self) -> memoryview:
        """Where the next bytes belong; never empty."""
        return self._scratch[self._end :]

    def received(self, count: int) -> Iterator[Event]:
        """What has become complete with ``count`` more bytes in ``space()``: act on each before the next is asked for.

        Raises:
            ProtocolError: these are no frames; this line is of no more use.
        """
        self._end += count
        start = 0
        while self._end - start >= _HEADER.size:
            stream, kind, length = _HEADER.unpack_from(self._scratch, start)
            if length > LONGEST_FRAME_BYTES:
                raise ProtocolError(f"a frame of {length} bytes was announced; {LONGEST_FRAME_BYTES} are allowed")
            if self._end - start - _HEADER.size < length:
                break
            body = start + _HEADER.size
            start = body + length
            event = self._frame_came(stream, kind, bytes(self._scratch[body:start]))
            if event is not None:
                yield event  # it may be what opens the stream of the next frame
        left = self._end - start
        if start and left:
            self._scratch[:left] = bytes(self._scratch[start : self._end])
        self._end = left

    def _frame_came(self, stream: int, kind: int, body: bytes) -> Event | None:
        if kind == _TALK:
            return Said(_said(body))
        if kind == _BEAT or stream not in self._granted:
            return None  # a sign of life; or its stream was forgotten meanwhile
        if kind == _DATA:
            self._granted[stream] -= len(body)
            if self._granted[stream] < 0:
                raise ProtocolError(f"more bytes of stream {stream} came than there was room for")
            return Came(stream, body) if body else None
        if kind == _CREDIT_KIND and len(body) == _CREDIT.size:
            had_none = not self._room[stream]
            self._room[stream] += _CREDIT.unpack(body)[0]
            return MayGoOn(stream) if had_none else None
        if kind == _END:
            return Ended(stream)
        raise ProtocolError(f"a frame of kind {kind}, which there is not, came")


def _said(body: bytes) -> dict[str, Any]:
    try:
        what = json.loads(body)
    except (ValueError, RecursionError):  # nested a thousand times
        what = None
    if not isinstance(what, dict):
        raise ProtocolError("what the other end says makes no sense")
    return what
