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

import contextlib
import io
import os
import pickle
import socket
import stat
import struct
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Any, Protocol

from tracking.errors import EncodeError, ProtocolError

Message = tuple[Any, ...]
Piece = bytes | memoryview

_HEADER = struct.Struct("!i")
_LONG_HEADER = struct.Struct("!iQ")
_LONGEST_SHORT = 0x7FFFFFFF
_SCRATCH_BYTES = 128 * 1024
_FIRST_SCRATCH_BYTES = 4 * 1024  # until more comes at once: most lines of many slaves never see so much
_OWN_BUFFER_BYTES = 64 * 1024  # from this length on a frame is received into a buffer of its own
_MOST_BUFFERS = 255
_LONGEST_FRAME_BYTES = 1 << 40
_SOCKET_BUFFER_BYTES = 4 * 1024 * 1024
_MOST_PIECES_A_WRITE = 512  # below IOV_MAX of every system


class LeftUnread(EOFError):
    """The other end is gone, and has not read all that was sent to it."""


class Line(Protocol):
    """What a channel needs of a ``Connection``, a socket or one end of a pipe."""

    def fileno(self) -> int: ...

    def close(self) -> None: ...


class Descriptor:
    """A line of which nothing but its number is known."""

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        """The descriptor; -1 when closed."""
        return self._number

    def close(self) -> None:
        """May be called again."""
        number, self._number = self._number, -1
        if number >= 0:
            os.close(number)


def frames_of(messages: Sequence[Message]) -> list[Piece]:
    """The pieces of bytes that carry these messages, in the order to be written.

    Large buffers are views of the sender's own objects: what is changed before it is written travels changed.
    """
    buffers: list[memoryview] = []

    def take(buffer: pickle.PickleBuffer) -> bool:
        if len(buffers) == _MOST_BUFFERS:
            return True  # the rest stays in the pickle
        buffers.append(buffer.raw())
        return False

    body = pickle.dumps(list(messages), protocol=5, buffer_callback=take)
    head = _header(len(body) + 1) + bytes((len(buffers),))
    pieces: list[Piece] = [head + body] if len(body) < _OWN_BUFFER_BYTES else [head, body]
    for buffer in buffers:
        pieces += (_header(buffer.nbytes), buffer)
    return pieces


def _header(length: int) -> bytes:
    return _HEADER.pack(length) if length <= _LONGEST_SHORT else _LONG_HEADER.pack(-1, length)


class BatchReader:
    """Turns received bytes into messages, without I/O: ask where to put bytes, say how many came.

    ::

        short frames    space() is the rest of _scratch:  [ handed out | _start: not yet _end | free ]
        a long frame    space() is the rest of _long, memory of its own, handed out without a copy
        a batch         _body until its _missing buffers have come, in _buffers

    Args:
        limit_bytes: longest frame accepted; a longer one is a ProtocolError before anything is allocated.
    """

    def __init__(self, limit_bytes: int = _LONGEST_FRAME_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._scratch = memoryview(b"")  # made when the first bytes are to come
        self._start = self._end = 0
        self._long: memoryview | None = None
        self._filled = 0
        self._body: bytes | None = None
        self._buffers: list[pickle.PickleBuffer] = []
        self._missing = 0

    def space(self) -> memoryview:
        """Where the next received bytes belong; never empty."""
        if self._long is not None:
            return self._long[self._filled :]
        if self._start == self._end:
            self._start = self._end = 0
            if not self._scratch:
                self._scratch = memoryview(bytearray(_FIRST_SCRATCH_BYTES))
        elif self._end > len(self._scratch) // 2:
            self._move_up()
        return self._scratch[self._end :]

    def _move_up(self) -> None:
        """Make room behind what is there: it fills a first scratch, or its beginning was handed out."""
        rest = bytes(self._scratch[self._start : self._end])
        if len(self._scratch) < _SCRATCH_BYTES:
            self._scratch = memoryview(bytearray(_SCRATCH_BYTES))
        self._scratch[: len(rest)] = rest
        self._start, self._end = 0, len(rest)

    def received(self, count: int) -> list[Message]:
        """The messages that became complete with ``count`` more bytes in ``space()``.

        Raises:
            ProtocolError: these bytes are no messages; the reader is of no more use.
        """
        messages: list[Message] = []
        if self._long is None:
            self._end += count
        else:
            self._filled += count
            if self._filled < len(self._long):
                return messages
            frame, self._long = self._long, None
            self._frame_is_whole(frame, messages, is_own=True)
        while self._start < self._end and self._next_frame(messages):
            pass
        return messages

    def _next_frame(self, messages: list[Message]) -> bool:
        begin, end = self._start + _HEADER.size, self._end
        if self._body is None and end - begin > 1:  # the usual case at once: a short batch without large buffers
            (length,) = _HEADER.unpack_from(self._scratch, self._start)
            if 0 < length <= end - begin and length <= self.limit_bytes and not self._scratch[begin]:
                self._start = begin + length
                messages += _load(self._scratch[begin + 1 : self._start], ())
                return True
        header_and_length = self._announced()
        if header_and_length is None:
            return False
        header, length = header_and_length
        if self._end - self._start - header >= length:
            begin = self._start + header
            self._start = begin + length
            self._frame_is_whole(self._scratch[begin : self._start], messages, is_own=False)
            return True
        if length >= _OWN_BUFFER_BYTES:
            self._receive_apart(header, length)
        return False

    def _announced(self) -> tuple[int, int] | None:
        """Bytes of the next header and of the frame behind it; None while the header is not whole."""
        available = self._end - self._start
        if available < _HEADER.size:
            return None
        header = _HEADER.size
        (length,) = _HEADER.unpack_from(self._scratch, self._start)
        if length == -1:
            header = _LONG_HEADER.size
            if available < header:
                return None
            length = _LONG_HEADER.unpack_from(self._scratch, self._start)[1]
        if not 0 <= length <= self.limit_bytes:
            raise ProtocolError(f"a frame of {length} bytes was announced; {self.limit_bytes} are allowed")
        return header, length

    def _receive_apart(self, header: int, length: int) -> None:
        self._long = _new_memory(length)
        self._filled = self._end - self._start - header
        self._long[: self._filled] = self._scratch[self._start + header : self._end]
        self._start = self._end = 0

    def _frame_is_whole(self, frame: memoryview, messages: list[Message], *, is_own: bool) -> None:
        if self._body is not None:
            self._buffers.append(pickle.PickleBuffer(frame if is_own else bytearray(frame)))
            self._missing -= 1
        elif not frame:
            raise ProtocolError("an empty frame came where a batch of messages should begin")
        else:
            self._missing = frame[0]
            if not self._missing:
                messages += _load(frame[1:], ())
                return
            self._body = bytes(frame[1:])
        if not self._missing:
            body, self._body = self._body, None
            buffers, self._buffers = self._buffers, []
            messages += _load(body, buffers)


def _new_memory(length: int) -> memoryview:
    """Writable memory that costs nothing until it is written to, other than a bytearray, which is filled first."""
    try:
        return io.BytesIO(bytes(length)).getbuffer()
    except (MemoryError, OverflowError) as error:
        raise ProtocolError(f"a frame of {length} bytes was announced; there is no memory for it") from error


def _load(body: Piece, buffers: Sequence[pickle.PickleBuffer]) -> list[Message]:
    try:
        batch = pickle.loads(body, buffers=buffers)
    except Exception as error:
        raise ProtocolError(f"a batch of messages cannot be read: {error!r}") from error
    if type(batch) is not list:
        raise ProtocolError(f"a {type(batch).__name__} came where a list of messages should be")
    for message in batch:
        if type(message) is not tuple or len(message) < 2:
            raise ProtocolError(f"a {type(message).__name__} came where a message (kind, calculation, ...) should be")
    return batch


class Channel:
    """One end of a line. Not thread-safe: who shares an end among threads holds a lock.

    Args:
        line: an open connection or socket; the channel owns it from now on.
        blocking: on a slave, ``receive`` waits for a message and ``send`` until all is written;
            otherwise neither ever waits.
        limit_bytes: longest frame accepted from the other end; None: as long as any object can be.
        is_for_large: messages may be large, so that it is worth while to make room for them in the system.
    """

    def __init__(
        self, line: Line, *, blocking: bool = False, limit_bytes: int | None = None, is_for_large: bool = True
    ) -> None:
        self._line = line
        self._fd = line.fileno()
        self._blocking = blocking
        self._reader = BatchReader(_LONGEST_FRAME_BYTES if limit_bytes is None else limit_bytes)
        self._batch: list[Message] = []
        self._unwritten: deque[Piece] = deque()
        self._unwritten_bytes = 0
        if is_for_large:
            _tune(self._fd)
        os.set_blocking(self._fd, blocking)

    def fileno(self) -> int:
        """The descriptor; -1 when closed."""
        return self._fd

    @property
    def limit_bytes(self) -> int:
        """Longest frame accepted from the other end; may be set, for frames that are announced from now on."""
        return self._reader.limit_bytes

    @limit_bytes.setter
    def limit_bytes(self, limit_bytes: int) -> None:
        self._reader.limit_bytes = limit_bytes

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
            EncodeError: a message cannot be pickled; the others go with the next flush.
        """
        if self._batch:
            pieces = self._take_batch()
            if not self._unwritten and len(pieces) == 1:
                return self._write_piece(pieces[0])
            self._unwritten += pieces
            self._unwritten_bytes += sum(map(len, pieces))
        while self._unwritten:
            if not self._write_some():
                return False
        return True

    def _take_batch(self) -> list[Piece]:
        batch, self._batch = self._batch, []
        try:
            return frames_of(batch)
        except Exception as error:
            self._batch = [message for message in batch if _can_be_pickled(message)]
            raise EncodeError(f"a message cannot be sent: {error}") from error

    def _write_piece(self, piece: Piece) -> bool:
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
        try:
            written = os.writev(self._fd, list(islice(pieces, _MOST_PIECES_A_WRITE)))
        except BlockingIOError:
            return False
        self._unwritten_bytes -= written
        while pieces and written >= len(pieces[0]):
            written -= len(pieces.popleft())
        if written:
            pieces[0] = memoryview(pieces[0])[written:]
        return True

    def send(self, *messages: Message) -> bool:
        """Put messages and flush; True when nothing is left."""
        self._batch += messages
        return self.flush()

    def receive(self) -> list[Message]:
        """The messages that have come; when blocking, at least one.

        Raises:
            EOFError: the other end is gone, all that it sent has been handed out; a LeftUnread where the system says
                that it has not read all that was sent to it.
            ProtocolError: what came is no message.
        """
        while True:
            try:
                count = os.readv(self._fd, [self._reader.space()])
            except BlockingIOError:
                return []
            except ConnectionResetError as error:
                raise LeftUnread("the other end of the line is gone, and has not read all") from error
            if not count:
                raise EOFError("the other end of the line is gone")
            messages = self._reader.received(count)
            if messages or not self._blocking:
                return messages

    def close(self) -> None:
        """Close the line; what was not written is dropped. May be called again."""
        self._fd = -1  # its number may soon mean another file
        self._line.close()
        self._batch.clear()
        self._unwritten.clear()
        self._unwritten_bytes = 0


def _can_be_pickled(message: Message) -> bool:
    try:
        frames_of([message])
    except Exception:  # noqa: BLE001  (pickling runs the object's own code, which may raise anything)
        return False
    return True


def _tune(fd: int) -> None:
    """No waiting for more bytes on TCP; room for large messages between processes of one host."""
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return
    with socket.socket(fileno=os.dup(fd)) as line:
        if line.family in (socket.AF_INET, socket.AF_INET6):
            # With Nagle's algorithm on, a round trip of 17-60 kB takes 89 ms instead of 0.06.
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return  # the system sizes the buffers of TCP better than we do
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            with contextlib.suppress(OSError):  # more than this system allows
                line.setsockopt(socket.SOL_SOCKET, option, _SOCKET_BUFFER_BYTES)
