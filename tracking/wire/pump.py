"""Moves bytes between a carrier and the descriptors of this process whose streams it carries; never waits.

::

    local descriptors  --read while there is room at the other end-->  Streams  --> carrier
                       <-- written as fast as they take it, queued --   (pure)  <--
    files of which all is sent                                    -->

Stop order: ``close`` lets go of the carrier and of all local descriptors, which belong to the pump.
"""

from __future__ import annotations

import contextlib
import os
import selectors
from collections import deque
from collections.abc import Callable
from typing import Any

from tracking.errors import ProtocolError
from tracking.wire.carriers import Carrier
from tracking.wire.streams import LONGEST_FRAME_BYTES, Came, Ended, MayGoOn, Said, Streams

_MOST_OUTGOING_BYTES = 1024 * 1024  # beyond that nothing local is read
_MOST_AHEAD_BYTES = _MOST_OUTGOING_BYTES // 2  # of files: so that they never keep anything else from being read
_READS_A_TURN = 16  # of the carrier, so that a flood does not keep us from all else ...
_TURN_S = 0.01  # ... nor one of the smallest frames, of which a single read brings thousands
_SMALL_BYTES = 4096  # pieces that wait are put together up to so many: each costs more than it holds


class _Local:
    """A local descriptor and what is known of it."""

    __slots__ = ("descriptor", "is_ending", "is_held", "is_read", "mask", "queue", "stream")

    def __init__(self, stream: int, descriptor: int, is_read: bool) -> None:
        self.stream = stream
        self.descriptor = descriptor
        self.is_read = is_read
        self.queue: deque[bytes | memoryview] = deque()  # came for it, not written yet
        self.is_ending = False  # nothing more comes for it
        self.is_held = False  # what can be read of it waits
        self.mask = 0  # what it is watched for

    def put(self, data: bytes) -> None:
        """This has come for it."""
        if self.queue and len(self.queue[-1]) + len(data) <= _SMALL_BYTES:
            self.queue[-1] = bytes(self.queue[-1]) + data
        else:
            self.queue.append(data)

    def write(self) -> int:
        """Write what it takes; how many bytes. OSError: nobody reads it any more."""
        total = 0
        while self.queue:
            try:
                written = os.write(self.descriptor, self.queue[0])
            except BlockingIOError:
                break
            total += written
            if written < len(self.queue[0]):
                self.queue[0] = memoryview(self.queue[0])[written:]
                break
            self.queue.popleft()
        return total


class _File:
    """A file that is sent, and what comes then."""

    __slots__ = ("descriptor", "offset", "then")

    def __init__(self, descriptor: int, then: Callable[[], None]) -> None:
        self.descriptor = descriptor
        self.offset = 0
        self.then = then


class Pump:
    """Carries local descriptors over a carrier.

    Args:
        carrier: the line; belongs to the pump.
        on_said: called with what the other end says; its ProtocolError, where that makes no sense, ends the line.
        clock: seconds, monotonic.

    Attributes:
        fault: why the line is of no more use; "": it is. Then what came before is still delivered.
        has_ended: that is because the other end has closed it.
        heard_at: when something came last, on the clock.
        sent_at: when something was sent last.
        has_more: there may be something to be read though no descriptor says so: ``turn`` again.
    """

    def __init__(self, carrier: Carrier, on_said: Callable[[dict[str, Any]], None], clock: Callable[[], float]) -> None:
        self.carrier = carrier
        self._on_said = on_said
        self._clock = clock
        self._streams = Streams()
        self._locals: dict[int, _Local] = {}  # by stream
        self._files: dict[int, _File] = {}  # by stream
        self._selector = selectors.DefaultSelector()
        self._carrier_masks: dict[int, int] = {}
        self.fault = ""
        self.has_ended = False
        self.heard_at = self.sent_at = clock()
        self.has_more = True  # TLS may have read ahead before it was ours
        self._is_closed = False
        self._watch_carrier()

    def fileno(self) -> int:
        """Readable when ``turn`` has something to do."""
        return self._selector.fileno()

    # ---- streams

    def attach(self, stream: int, descriptor: int, *, is_read: bool) -> None:
        """Carry a local descriptor, which does not block and belongs to the pump from now on."""
        self._streams.open(stream)
        local = self._locals[stream] = _Local(stream, descriptor, is_read)
        self._watch(local)

    def send_file(self, stream: int, descriptor: int, then: Callable[[], None]) -> None:
        """Send all that is in a file, then the stream's end; the file belongs to the pump from now on.

        Args:
            then: called when all of it is on its way.
        """
        self._streams.open(stream)
        self._files[stream] = _File(descriptor, then)

    def hold(self, stream: int) -> None:
        """Let wait what a local descriptor has to be read, until ``release``."""
        self._set_held(stream, True)

    def release(self, stream: int) -> None:
        """Read it again."""
        self._set_held(stream, False)

    def _set_held(self, stream: int, is_held: bool) -> None:
        local = self._locals.get(stream)
        if local is not None:
            local.is_held = is_held
            self._watch(local)

    def detach(self, stream: int) -> None:
        """Carry it no more: it is closed, and what still comes for it is dropped."""
        if stream in self._files:
            self._close_file(stream)
        local = self._locals.pop(stream, None)
        if local is not None:
            self._set_mask(local, 0)
            os.close(local.descriptor)
            self._streams.forget(stream)

    def is_delivered(self, stream: int) -> bool:
        """Whether all that has come of this stream was taken."""
        local = self._locals.get(stream)
        return local is None or not local.queue

    def drain(self, stream: int) -> bool:
        """Read what there is to be read now of a local descriptor that nobody writes any more; True: that was all."""
        while (local := self._locals.get(stream)) is not None and local.is_read:
            if not self._may_read(local):
                return False
            if not self._read(local):
                return True
        return True

    # ---- talk

    def say(self, **what: Any) -> None:
        """Say something to the other end; it goes with the next ``flush`` or ``turn``."""
        self._streams.say(**what)

    def beat_if_due(self, interval_s: float) -> None:
        """Give a sign of life if nothing was sent for so long, and nothing waits to be."""
        if self._clock() - self.sent_at >= interval_s and not self._streams.outgoing_bytes:
            self._streams.beat()
            self.flush()

    # ---- moving

    def turn(self, timeout_s: float | None = 0.0) -> None:
        """Move what can be moved; wait for something to move, at most so long."""
        if self._is_closed:
            return
        may_receive = self.has_more
        for key, mask in self._selector.select(0.0 if self.has_more else timeout_s):
            if key.data is None:
                may_receive = True
            else:
                self._move(key.data, mask)
        if not self.fault:
            if may_receive:
                self._receive()
            self.flush()

    def _move(self, local: _Local, mask: int) -> None:
        if mask & selectors.EVENT_WRITE and self._locals.get(local.stream) is local:
            self._write(local)
        if mask & selectors.EVENT_READ and self._locals.get(local.stream) is local:
            if self._may_read(local):
                self._read(local)
            else:  # what is not read now must not wake us again and again
                self._watch(local)

    def flush(self) -> None:
        """Write what the carrier takes."""
        streams = self._streams
        try:
            while not self.fault and (pieces := self._pieces()):
                written = self.carrier.write(pieces)
                if not written:
                    break
                self.sent_at = self._clock()
                was_full = streams.outgoing_bytes > _MOST_OUTGOING_BYTES
                streams.written(written)
                if was_full and streams.outgoing_bytes <= _MOST_OUTGOING_BYTES:
                    self._watch_all()
        except OSError as error:
            self._break(f"its line broke: {error.strerror or error}")
        self._watch_carrier()

    def _pieces(self) -> list[bytes | memoryview]:
        for stream in list(self._files):
            self._read_file(stream)
        return self._streams.pieces()

    def _read_file(self, stream: int) -> None:
        """Send of a file what there is room for."""
        file = self._files[stream]
        while (room := self._streams.room(stream)) and self._streams.outgoing_bytes <= _MOST_AHEAD_BYTES:
            data = os.pread(file.descriptor, min(LONGEST_FRAME_BYTES, room), file.offset)
            if not data:
                self._streams.end(stream)
                self._close_file(stream)
                file.then()
                return
            self._streams.send(stream, data)
            file.offset += len(data)

    def _close_file(self, stream: int) -> None:
        os.close(self._files.pop(stream).descriptor)
        self._streams.forget(stream)

    def _receive(self) -> None:
        self.has_more = False
        began = self._clock()
        try:
            for _ in range(_READS_A_TURN):
                count = self.carrier.read_into(self._streams.space())
                if count is None:
                    return
                if count == 0:
                    self.has_ended = True
                    self._break("its line ended")
                    return
                self.heard_at = self._clock()
                for event in self._streams.received(count):
                    self._happened(event)
                if self._clock() - began > _TURN_S:
                    break
            self.has_more = True
        except ProtocolError as error:
            self._break(f"what came over its line is nothing of ours: {error}")
        except OSError as error:
            self._break(f"its line broke: {error.strerror or error}")

    def _happened(self, event: Came | Ended | MayGoOn | Said) -> None:
        if isinstance(event, Said):
            self._on_said(event.what)
            return
        local = self._locals.get(event.stream)
        if local is None:
            return
        if isinstance(event, Came):
            local.put(event.data)
            self._write(local)
        elif isinstance(event, Ended):
            local.is_ending = True
            self._write(local)
        else:
            self._watch(local)

    # ---- local descriptors

    def _may_read(self, local: _Local) -> bool:
        return bool(
            local.is_read
            and not local.is_held
            and self._streams.room(local.stream)
            and self._streams.outgoing_bytes <= _MOST_OUTGOING_BYTES
            and not self.fault
        )

    def _read(self, local: _Local) -> bool:
        """Send a piece of it on; False: there is nothing now, or nothing any more."""
        most = min(LONGEST_FRAME_BYTES, self._streams.room(local.stream))
        try:
            data = os.read(local.descriptor, most)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            local.is_read = False
            self._streams.end(local.stream)
            self._watch(local)
            return False
        self._streams.send(local.stream, data)
        self._watch(local)
        return True

    def _write(self, local: _Local) -> None:
        try:
            self._streams.passed_on(local.stream, local.write())
        except OSError:  # nobody reads it any more: whoever wrote it is told by other means
            self._streams.passed_on(local.stream, sum(map(len, local.queue)))
            local.queue.clear()
        if local.is_ending and not local.queue:
            self._end_local(local)
        else:
            self._watch(local)

    def _end_local(self, local: _Local) -> None:
        """All has come for it: who reads it sees the end."""
        self.detach(local.stream)

    def _watch_all(self) -> None:
        for local in list(self._locals.values()):
            self._watch(local)

    def _watch(self, local: _Local) -> None:
        mask = selectors.EVENT_READ if self._may_read(local) else 0
        self._set_mask(local, mask | (selectors.EVENT_WRITE if local.queue else 0))

    def _set_mask(self, local: _Local, mask: int) -> None:
        if mask == local.mask:
            return
        if not local.mask:
            self._selector.register(local.descriptor, mask, local)
        elif not mask:
            self._selector.unregister(local.descriptor)
        else:
            self._selector.modify(local.descriptor, mask, local)
        local.mask = mask

    # ---- the carrier

    def _watch_carrier(self) -> None:
        wanted: dict[int, int] = {}
        if not self.fault and not self._is_closed:
            wanted[self.carrier.read_descriptor()] = selectors.EVENT_READ
            if self._streams.outgoing_bytes or self.carrier.wants_write:
                writing = self.carrier.write_descriptor()
                wanted[writing] = wanted.get(writing, 0) | selectors.EVENT_WRITE
        for descriptor in self._carrier_masks.keys() - wanted.keys():
            self._selector.unregister(descriptor)
        for descriptor, mask in wanted.items():
            if descriptor not in self._carrier_masks:
                self._selector.register(descriptor, mask, None)
            elif self._carrier_masks[descriptor] != mask:
                self._selector.modify(descriptor, mask, None)
        self._carrier_masks = wanted

    def _break(self, why: str) -> None:
        self.fault = self.fault or why
        self.has_more = False
        self._watch_carrier()
        self._watch_all()

    def close(self) -> None:
        """Let go of everything. May be called again."""
        if self._is_closed:
            return
        self._is_closed = True
        for stream in [*self._locals, *self._files]:
            self.detach(stream)
        self._watch_carrier()
        self._selector.close()
        with contextlib.suppress(OSError):
            self.carrier.close()
