"""One copy per host of a large payload, in memory that all processes of the host can map.

::

    master                                          slave of the same host
    share(payload): memfd, written once
      /proc/<pid>/fd/<n>, offsets        ------->   open_shared(shared): maps it read-only
    shared.close(): the name is gone                  arrays are views of the mapping

The memory has no name on any file system and belongs to the processes that hold it: when the last of them has
ended, however it ended, the memory is gone too. Linux only; elsewhere ``share`` says None and whoever asked
sends the payload itself.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from tracking.errors import ProtocolError
from tracking.wire.codec import Buffer, Payload, len_bytes

if TYPE_CHECKING:
    import mmap

SHARE_FROM_BYTES = 1 << 20  # below this a copy through the line is as fast
ALIGNMENT = 64  # arrays that begin at such an offset are aligned for every kind of number

Part = tuple[int, int]  # offset, length


class SharedPayload:
    """Where a payload lies in shared memory: what is sent in its place, a few bytes when pickled.

    The one that ``share`` made owns the memory: it can be opened until ``close``; copies that travelled own
    nothing. Also a context manager, which closes it.
    """

    def __init__(self, path: str, key: bytes, parts: tuple[Part, ...], fd: int | None = None) -> None:
        self._path = path
        self._key = key
        self._parts = parts
        self._fd = fd

    @property
    def size(self) -> int:
        """Bytes of the payload."""
        return sum(length for _, length in self._parts)

    def close(self) -> None:
        """Let go of the memory; processes that have opened it keep it until they end. May be called again."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def __enter__(self) -> SharedPayload:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[type[SharedPayload], tuple[str, bytes, tuple[Part, ...]]]:
        return SharedPayload, (self._path, self._key, self._parts)


def share(payload: Payload) -> SharedPayload | None:
    """Copy a payload into shared memory, once for all processes of this host.

    Returns:
        what to send in its place, to be closed when no slave will open it any more; None where the payload
        is small, the system has no such memory, or too little of it.
    """
    if sys.platform != "linux" or payload.size < SHARE_FROM_BYTES or not os.path.isdir("/proc/self/fd"):
        return None
    key = os.urandom(16)
    buffers = (key, payload.data, *payload.buffers)
    parts = tuple(_layout(buffers))
    with contextlib.suppress(OSError):
        fd = os.memfd_create("tracking", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with _closed_on_error(fd):
            for buffer, (offset, _) in zip(buffers, parts, strict=True):
                _write(fd, buffer, offset)
            _seal(fd)
        return SharedPayload(f"/proc/{os.getpid()}/fd/{fd}", key, parts[1:], fd)
    return None


def open_shared(shared: SharedPayload) -> Payload:
    """Map a shared payload; it is read-only, and so are the arrays decoded from it, which keep it mapped.

    Raises:
        ProtocolError: it was closed, its master has ended, or it is on another host.
    """
    memory = memoryview(_map(shared._path))
    if bytes(memory[: len(shared._key)]) != shared._key:
        raise ProtocolError(f"{shared._path} is not the shared memory that was announced: that one is gone")
    data, *buffers = (memory[offset : offset + length] for offset, length in shared._parts)
    return Payload(data, tuple(buffers))


def _layout(buffers: tuple[Buffer, ...]) -> Iterator[Part]:
    end = 0
    for buffer in buffers:
        offset = -(-end // ALIGNMENT) * ALIGNMENT
        end = offset + len_bytes(buffer)
        yield offset, len_bytes(buffer)


def _write(fd: int, buffer: Buffer, offset: int) -> None:
    # Writing costs one plain copy; copying into a mapping costs two, for the page faults.
    rest = buffer.raw() if hasattr(buffer, "raw") else memoryview(buffer).cast("B")
    while rest:
        written = os.pwrite(fd, rest, offset)  # Linux takes 2 GB at most at a time
        rest, offset = rest[written:], offset + written


def _seal(fd: int) -> None:
    """Nobody, ourselves included, can change or shorten it now: a shrinking file would kill its readers."""
    import fcntl

    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)


def _map(path: str) -> mmap.mmap:
    import mmap  # only where something is shared

    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return mmap.mmap(fd, 0, access=mmap.ACCESS_READ)
        finally:
            os.close(fd)
    except (OSError, ValueError) as problem:
        raise ProtocolError(f"the shared memory {path} cannot be opened: {problem}") from problem


@contextlib.contextmanager
def _closed_on_error(fd: int) -> Iterator[None]:
    try:
        yield
    except BaseException:
        os.close(fd)
        raise
