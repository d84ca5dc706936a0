"""One writer per run file: a lock that dies with its process and is inherited by no child.

::

    results.run        only SQLite itself ever opens this one: closing a second descriptor of it
                       would drop SQLite's own locks
    results.run.lock   locked by the writer while it lives; holds 'host pid' for the error message;
                       gone after a clean end, taken over by the next writer after a crash

The lock is a POSIX record lock, because those belong to a process (a ``flock`` would live on in forked
children) and work on network file systems. Within one process they know no conflict, and closing any
descriptor of the file drops them; so ``_held`` lists what this process holds, and every open and close
of a lock file happens under ``_guard``.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import sys
import threading
from pathlib import Path

_guard = threading.Lock()
_held: set[str] = set()

# struct flock with 64-bit offsets: (format, index of l_type)
_FLOCK = ("qqihh", 3) if sys.platform == "darwin" else ("hhqqi0q", 0)


class LockHeldError(Exception):
    """Another writer holds the lock.

    Attributes:
        host, pid: who, as far as it said so.
    """

    def __init__(self, host: str, pid: int) -> None:
        super().__init__(host, pid)
        self.host = host
        self.pid = pid


class OwnerLock:
    """The right to write one file.

    Args:
        path: the file; two names for it through links are the same lock.
    """

    def __init__(self, path: Path) -> None:
        self.path = lock_path(path)
        self._descriptor = -1

    @property
    def is_held(self) -> bool:
        """Say whether this process holds it; False in a child forked from the one that does."""
        return self._descriptor >= 0 and self.path in _held

    def acquire(self) -> None:
        """Take the lock or fail at once.

        Raises:
            LockHeldError: somebody has it.
            OSError: the lock file cannot be made.
        """
        with _guard:
            if self.path in _held:
                raise LockHeldError(host_name(), os.getpid())
            self._descriptor = _lock_file(self.path)
            _held.add(self.path)

    def release(self) -> None:
        """Give the lock back and remove its file. Nothing happens if it is not held."""
        with _guard:
            if not self.is_held:
                return
            _held.discard(self.path)
            # Removed before it is unlocked: who opened it meanwhile sees that its file is no longer there.
            _remove(self.path)
            os.close(self._descriptor)
            self._descriptor = -1


def is_locked(path: Path) -> bool:
    """Say whether a live process holds the lock of this file; takes nothing and disturbs nobody."""
    name = lock_path(path)
    with _guard:
        if name in _held:
            return True
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            return _has_other_owner(descriptor)
        finally:
            os.close(descriptor)


def lock_path(path: Path) -> str:
    """Name the lock file of a file."""
    return os.path.realpath(path) + ".lock"


def host_name() -> str:
    """Name this machine."""
    return os.uname().nodename


def _lock_file(name: str) -> int:
    while True:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            _refuse_foreign(descriptor)
            _lock(descriptor)
            if _is_still(descriptor, name):
                _sign(descriptor, name)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the owner before us removed it just after we had opened it


def _refuse_foreign(descriptor: int) -> None:
    """Signing it must not destroy some other file, to which somebody has made a link of this name."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_nlink > 1:
        raise PermissionError(errno.EPERM, "its lock file was made by somebody else")


def _lock(descriptor: int) -> None:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        raise LockHeldError(*_signature(descriptor)) from None


def _is_still(descriptor: int, name: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(name))
    except FileNotFoundError:
        return False


def _sign(descriptor: int, name: str) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{host_name()} {os.getpid()}\n".encode(), 0)
    except OSError:
        _remove(name)
        raise


def _signature(descriptor: int) -> tuple[str, int]:
    host, _, pid = os.pread(descriptor, 4096, 0).decode(errors="replace").strip().rpartition(" ")
    return (host, int(pid)) if host and pid.isdecimal() else ("unknown", 0)


def _has_other_owner(descriptor: int) -> bool:
    layout, type_index = _FLOCK
    question = [0] * 5
    question[type_index] = fcntl.F_WRLCK
    answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, struct.pack(layout, *question))
    return bool(struct.unpack(layout, answer)[type_index] != fcntl.F_UNLCK)


def _remove(name: str) -> None:
    # Somebody may have tidied it away already.
    try:
        os.unlink(name)
    except FileNotFoundError:
        return


def _forget_in_child() -> None:
    # A forked child holds none of its parent's locks, and the guard may have been taken at the fork.
    global _guard
    _guard = threading.Lock()
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)
