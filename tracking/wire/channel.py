"""A line that carries messages: the bytes of ``multiprocessing.connection``, read and written by ourselves.

A *message* is a plain tuple whose first field is its kind (see ``messages``). What is sent together
travels as one *batch*::

    frame   header + body; the header is that of ``multiprocessing.connection``: a signed 32-bit length in
            network order, or -1 followed by an unsigned 64-bit length
    batch   one frame: [number of buffers: 1 byte][pickle of the list of messages]
            then one frame for each large buffer, as it lies in memory (pickle protocol 5, out of band)

``Connection.recv`` and ``send`` block on half a frame and on a peer that does not read, so a
``Channel`` uses the connection's descriptor only: on the master it never blocks.
"""

from __future__ import annotations

import os
import pickle
import socket
import struct
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from tracking.errors import ProtocolError

Message = tuple[Any, ...]

_HEADER = struct.Struct("!i")
_LONG_HEADER = struct.Struct("!iQ")
_LONGEST_SHORT = 0x7FFFFFFF
_SCRATCH_BYTES = 256 * 1024
_OWN_BUFFER_BYTES = 64 * 1024  # from this length on a frame is received into a buffer of its own
_MOST_BUFFERS = 255
_SOCKET_BUFFER_BYTES = 4 * 1024 * 1024
_MOST_PIECES_A_WRITE = 512  # below IOV_MAX of every system


def frames_of(messages: Sequence[Message]) -> list[bytes | memoryview]:
    """The pieces of bytes that carry these messages, in the order to be written."""
    buffers: list[memoryview] = []

    def take(buffer: pickle.PickleBuffer) -> bool:
        if len(buffers) == _MOST_BUFFERS:
            return True  # the rest stays in the pickle
        buffers.append(buffer.raw())
        return False

    body = pickle.dumps(list(messages), protocol=5, buffer_callback=take)
    pieces: list[bytes | memoryview] = [_header(len(body) + 1) + bytes((len(buffers),)) + body]
    for buffer in buffers:
        pieces += (_header(buffer.nbytes), buffer)
    return pieces


def _header(length: int) -> bytes:
    return _HEADER.pack(length) if length <= _LONGEST_SHORT else _LONG_HEADER.pack(-1, length)


class BatchReader:
    """Turns received bytes into messages, without I/O: ask where to put bytes, say how many came.

    Args:
        limit_bytes: longest frame accepted; a longer one is a ProtocolError before anything is allocated.
    """

    def __init__(self, limit_bytes: int = 1 << 40) -> None:
        self._limit = limit_bytes
        self._scratch = bytearray(_SCRATCH_BYTES)
        self._view = memoryview(self._scratch)
        self._start = self._end = 0
        self._own: bytearray | None = None  # a long frame that is being received
        self._filled = 0
        self._body: bytes | None = None  # a batch that waits for its buffers
        self._buffers: list[bytearray] = []
        self._missing = 0

    @property
    def is_between_batches(self) -> bool:
        """Whether everything received so far has been handed out."""
        return self._own is None and self._body is None and self._start == self._end

    def space(self) -> memoryview:
        """Where the next received bytes belong; never empty."""
        if self._own is not None:
            return memoryview(self._own)[self._filled :]
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end > _SCRATCH_BYTES // 2:
            left = self._end - self._start
            self._view[:left] = bytes(self._view[self._start : self._end])
            self._start, self._end = 0, left
        return self._view[self._end :]

    def received(self, count: int) -> list[Message]:
        """The messages that became complete with ``count`` more bytes in ``space()``."""
        messages: list[Message] = []
        if self._own is None:
            self._end += count
        else:
            self._filled += count
            if self._filled < len(self._own):
                return messages
            frame, self._own = self._own, None
            self._frame_is_whole(frame, messages)
        while self._next_frame(messages):
            pass
        return messages

    def _next_frame(self, messages: list[Message]) -> bool:
        available = self._end - self._start
        if available < _HEADER.size:
            return False
        header = _HEADER.size
        (length,) = _HEADER.unpack_from(self._scratch, self._start)
        if length == -1:
            header = _LONG_HEADER.size
            if available < header:
                return False
            length = _LONG_HEADER.unpack_from(self._scratch, self._start)[1]
        if not 0 <= length <= self._limit:
            raise ProtocolError(f"a frame of {length} bytes was announced; {self._limit} are allowed")
        if available - header >= length:
            begin = self._start + header
            self._start = begin + length
            self._frame_is_whole(self._view[begin : self._start], messages)
            return True
        if length >= _OWN_BUFFER_BYTES:
            self._receive_apart(header, length)
        return False

    def _receive_apart(self, header: int, length: int) -> None:
        self._own = bytearray(length)
        self._filled = self._end - self._start - header
        self._own[: self._filled] = self._view[self._start + header : self._end]
        self._start = self._end = 0

    def _frame_is_whole(self, frame: memoryview | bytearray, messages: list[Message]) -> None:
        if self._body is not None:
            self._buffers.append(frame if isinstance(frame, bytearray) else bytearray(frame))
            self._missing -= 1
            if not self._missing:
                body, self._body = self._body, None
                buffers, self._buffers = self._buffers, []
                messages += _load(body, buffers)
            return
        if not len(frame):
            raise ProtocolError("an empty frame came where a batch of messages should begin")
        self._missing = frame[0]
        body_view = memoryview(frame)[1:]
        if self._missing:
            self._body = bytes(body_view)
        else:
            messages += _load(body_view, ())


def _load(body: bytes | memoryview, buffers: Sequence[bytearray]) -> list[Message]:
    try:
        batch = pickle.loads(body, buffers=buffers)
    except Exception as error:
        raise ProtocolError(f"a batch of messages cannot be read: {error!r}") from error
    if type(batch) is not list:
        raise ProtocolError(f"a {type(batch).__name__} came where a list of messages should be")
    return batch


class Channel:
    """One end of a line. Not thread-safe: who shares an end among threads holds a lock.

    Args:
        connection: an open connection; the channel owns it from now on.
        blocking: on a slave, ``receive`` waits for a message and ``send`` until all is written;
            otherwise neither ever waits.
    """

    def __init__(self, connection: Connection[Any, Any], *, blocking: bool = False) -> None:
        self._connection = connection
        self._fd = connection.fileno()
        self._blocking = blocking
        self._reader = BatchReader()
        self._batch: list[Message] = []
        self._unwritten: deque[bytes | memoryview] = deque()
        self._unwritten_bytes = 0
        _tune(self._fd)
        os.set_blocking(self._fd, blocking)

    def fileno(self) -> int:
        return self._fd

    @property
    def unwritten_bytes(self) -> int:
        """Bytes that the other end has not taken yet."""
        return self._unwritten_bytes

    def put(self, message: Message) -> None:
        """Add a message to the batch that the next ``flush`` sends."""
        self._batch.append(message)

    def flush(self) -> bool:
        """Write what can be written now; True when nothing is left.

        Raises:
            OSError: the other end is gone.
        """
        if self._batch:
            batch, self._batch = self._batch, []
            pieces = frames_of(batch)
            if not self._unwritten and len(pieces) == 1:
                return self._write_piece(pieces[0])
            self._unwritten += pieces
            self._unwritten_bytes += sum(map(len, pieces))
        while self._unwritten:
            if not self._write_some():
                return False
        return True

    def _write_piece(self, piece: bytes | memoryview) -> bool:
        try:
            written = os.write(self._fd, piece)
        except BlockingIOError:
            written = 0
        if written == len(piece):
            return True
        self._unwritten.append(memoryview(piece)[written:])
        self._unwritten_bytes = len(piece) - written
        return self.flush() if self._blocking else False

    def _write_some(self) -> bool:
        pieces = self._unwritten
        head = [pieces[i] for i in range(min(len(pieces), _MOST_PIECES_A_WRITE))]
        try:
            written = os.writev(self._fd, head)
        except BlockingIOError:
            return False
        self._unwritten_bytes -= written
        while pieces and written >= len(pieces[0]):
            written -= len(pieces.popleft())
        if written:
            pieces[0] = memoryview(pieces[0])[written:]
        return True

    def send(self, *messages: Message) -> bool:
        """Put messages and flush."""
        self._batch += messages
        return self.flush()

    def receive(self) -> list[Message]:
        """The messages that have come; when blocking, at least one.

        Raises:
            EOFError: the other end is gone, all that it sent has been handed out.
            ProtocolError: what came is no message.
        """
        while True:
            try:
                count = os.readv(self._fd, [self._reader.space()])
            except BlockingIOError:
                return []
            except ConnectionResetError:
                count = 0
            if not count:
                raise EOFError("the other end of the line is gone")
            messages = self._reader.received(count)
            if messages or not self._blocking:
                return messages

    def close(self) -> None:
        self._connection.close()
        self._unwritten.clear()
        self._unwritten_bytes = 0


def _tune(fd: int) -> None:
    """No waiting for more bytes on TCP; room for large messages on any socket."""
    try:
        line = socket.socket(fileno=os.dup(fd))
    except OSError:
        return  # a pipe
    with line:
        if line.family in (socket.AF_INET, socket.AF_INET6):
            # With Nagle's algorithm on, a round trip of 17-60 kB takes 89 ms instead of 0.06.
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            line.setsockopt(socket.SOL_SOCKET, option, _SOCKET_BUFFER_BYTES)
