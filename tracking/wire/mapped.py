"""One copy per host of a large payload, in memory that all processes of the host can map.

::

    master                                          slave of the same host
    share(payload): memfd, written once
      /proc/<pid>/fd/<n>, offsets        ------->   open_shared(shared): maps it read-only
    shared.close(): the name is gone                  arrays are views of the mapping

    master                                          relay of another host         its slaves
    shared.descriptor(): the bytes       ------->   empty_memory(key), seal       open_shared(shared): finds it by its
      once for all slaves there                                                     key among those of its parent

The memory has no name on any file system and belongs to the processes that hold it: when the last of them has
ended, however it ended, the memory is gone too. Linux only; elsewhere ``share`` says None and whoever asked
sends the payload itself.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from tracking.errors import ProtocolError
from tracking.wire.codec import Buffer, Payload, len_bytes

if TYPE_CHECKING:
    import mmap

SHARE_FROM_BYTES = 1 << 20  # below this a copy through the line is as fast
_COMPARED_BYTES = 256 * 1024  # at a time: fits into the cache
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
    def key(self) -> bytes:
        """What tells it from all others; the memory begins with it."""
        return self._key

    @property
    def size(self) -> int:
        """Bytes of the payload."""
        return sum(length for _, length in self._parts)

    @property
    def extent(self) -> int:
        """Bytes of the memory, from its key to the end of the last part."""
        return max(offset + length for offset, length in self._parts)

    @property
    def is_closed(self) -> bool:
        """Whether it cannot be opened any more; true of every copy that travelled."""
        return self._fd is None

    def descriptor(self) -> int:
        """Another descriptor of the memory, which belongs to the caller.

        Raises:
            OSError: it was closed, or there are too many open files.
        """
        if self._fd is None:
            raise OSError(errno.EBADF, "this shared memory was closed")
        return os.dup(self._fd)

    def holds(self, payload: Payload) -> bool:
        """Whether the very same bytes lie in it."""
        buffers = (payload.data, *payload.buffers)
        lengths = [len_bytes(buffer) for buffer in buffers]
        if self._fd is None or lengths != [length for _, length in self._parts]:
            return False
        starts = (offset for offset, _ in self._parts)
        return all(_lies_at(self._fd, start, buffer) for start, buffer in zip(starts, buffers, strict=True))

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
        fd = empty_memory(key)
        with _closed_on_error(fd):
            for buffer, (offset, _) in zip(buffers, parts, strict=True):
                _write(fd, buffer, offset)
            seal(fd)
        return SharedPayload(f"/proc/{os.getpid()}/fd/{fd}", key, parts[1:], fd)
    return None


def open_shared(shared: SharedPayload) -> Payload:
    """Map a shared payload; it is read-only, and so are the arrays decoded from it, which keep it mapped.

    Raises:
        ProtocolError: it was closed, its master has ended, or it is on another host.
    """
    memory = memoryview(_map(lent_by(os.getppid(), shared._key) or shared._path))
    if bytes(memory[: len(shared._key)]) != shared._key:
        raise ProtocolError(f"{shared._path} is not the shared memory that was announced: that one is gone")
    data, *buffers = (memory[offset : offset + length] for offset, length in shared._parts)
    return Payload(data, tuple(buffers))


def empty_memory(key: bytes) -> int:
    """The descriptor of memory that is known by this key, to be written, and then to be sealed.

    Raises:
        OSError: this system has none.
    """
    return os.memfd_create(_name_of(key), os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def _name_of(key: bytes) -> str:
    return f"tracking-{key.hex()}"


def lent_by(pid: int, key: bytes) -> str:
    """Where a relay, as the parent of a slave may be one, has memory of this key; "": it has none, or is no relay."""
    directory = f"/proc/{pid}/fd"
    wanted = f"/memfd:{_name_of(key)} "
    with contextlib.suppress(OSError):
        for number in os.listdir(directory):
            with contextlib.suppress(OSError):  # it was closed just now
                if os.readlink(f"{directory}/{number}").startswith(wanted):
                    return f"{directory}/{number}"
    return ""


def _layout(buffers: tuple[Buffer, ...]) -> Iterator[Part]:
    end = 0
    for buffer in buffers:
        offset = -(-end // ALIGNMENT) * ALIGNMENT
        end = offset + len_bytes(buffer)
        yield offset, len_bytes(buffer)


def _write(fd: int, buffer: Buffer, offset: int) -> None:
    # Writing costs one plain copy; copying into a mapping costs two, for the page faults.
    rest = _raw(buffer)
    while rest:
        written = os.pwrite(fd, rest, offset)  # Linux takes 2 GB at most at a time
        rest, offset = rest[written:], offset + written


def _raw(buffer: Buffer) -> memoryview:
    return buffer.raw() if isinstance(buffer, pickle.PickleBuffer) else memoryview(buffer).cast("B")


def _lies_at(fd: int, offset: int, buffer: Buffer) -> bool:
    chunk = bytearray(_COMPARED_BYTES)  # comparing it with any bytes is as fast as copying them; two views are slow
    rest = _raw(buffer)
    while rest:
        count = os.preadv(fd, [memoryview(chunk)[: len(rest)]], offset)
        if not count or (chunk if count == len(chunk) else chunk[:count]) != rest[:count]:
            return False
        rest, offset = rest[count:], offset + count
    return True


def seal(fd: int) -> None:
    """Nobody, ourselves included, can change or shorten it now: a shrinking file would kill its readers."""
    import fcntl

    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)


def _map(path: str) -> mmap.mmap:
    import mmap  # only where something is shared

    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # on another host it may be a pipe
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
