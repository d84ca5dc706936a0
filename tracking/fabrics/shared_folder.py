"""A folder of one pool on a file system that the nodes of a cluster share: ticket, and what jobs print.

::

    ~/.tracking/            0700, stays
      slurm-3f9a.../        0700, one a fabric; made when first needed, removed at its end
        owner               host of the master; locked as long as that lives
        jobs                what it has in the queue, for who cleans up after it

A master that was killed leaves its folder behind: the next one on the same host finds that nobody has it locked.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import socket

_OWNER = "owner"
_JOBS = "jobs"
_PARENT = "~/.tracking"
_TAIL_BYTES = 64 * 1024


class SharedFolder:
    """The folder of one pool; its name is known at once, and ``make`` makes it.

    Args:
        kind: begins its name ("slurm").
        parent: where it is to lie, seen by all nodes under the same name; None: ``~/.tracking``.

    Attributes:
        path: it.
        abandoned: what masters that were killed on this host have left in their queue, found by ``make``.
    """

    def __init__(self, kind: str, parent: str | os.PathLike[str] | None = None) -> None:
        self._kind = kind
        self._parent = os.path.abspath(os.path.expanduser(_PARENT if parent is None else parent))
        self.path = os.path.join(self._parent, f"{kind}-{secrets.token_hex(8)}")
        self.abandoned: list[str] = []
        self._lock: int | None = None

    def file(self, name: str) -> str:
        """The path of a file in it."""
        return os.path.join(self.path, name)

    def make(self) -> None:
        """Make it, if it is not there yet, and remove those of dead masters.

        Raises:
            OSError: it cannot be made there.
        """
        if self._lock is not None:
            return
        os.makedirs(self._parent, mode=0o700, exist_ok=True)
        self._clean()
        unborn = os.path.join(self._parent, f".{os.path.basename(self.path)}")
        os.mkdir(unborn, 0o700)
        try:
            self._lock = _locked(os.path.join(unborn, _OWNER), os.O_CREAT | os.O_EXCL)
            if self._lock is not None:
                os.write(self._lock, socket.gethostname().encode())
            os.rename(unborn, self.path)  # others see it only when it is locked
        except BaseException:
            self._unlock()
            shutil.rmtree(unborn, ignore_errors=True)
            raise

    def note(self, job: str) -> None:
        """A job is in the queue; kept for who may have to clean up."""
        with contextlib.suppress(OSError), open(self.file(_JOBS), "a", encoding="utf-8") as file:
            file.write(f"{job}\n")

    def tail(self, name: str) -> bytes:
        """The end of a file in it; nothing if it cannot be read."""
        try:
            with open(self.file(name), "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
                return file.read(_TAIL_BYTES)
        except OSError:
            return b""

    def remove(self) -> None:
        """Remove it with all that is in it. May be called twice."""
        if self._lock is not None:
            shutil.rmtree(self.path, ignore_errors=True)
            self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _clean(self) -> None:
        with os.scandir(self._parent) as entries:
            names = [entry.path for entry in entries if entry.name.startswith(f"{self._kind}-")]
        for path in names:
            with contextlib.suppress(OSError):
                self._remove_if_abandoned(path)

    def _remove_if_abandoned(self, path: str) -> None:
        owner = os.path.join(path, _OWNER)
        with open(owner, encoding="utf-8") as file:
            if file.read() != socket.gethostname():
                return  # locks of other hosts need not be seen here
        lock = _locked(owner, 0)
        if lock is None:
            return
        try:
            with contextlib.suppress(OSError), open(os.path.join(path, _JOBS), encoding="utf-8") as file:
                self.abandoned += file.read().split()
            shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(lock)


def _locked(path: str, flags: int) -> int | None:
    """A descriptor of the file, locked; None: somebody else has it locked."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        if not flags:
            os.close(descriptor)
            return None
        # No locks on this file system: nobody will get it, and so nobody will clean up.
    return descriptor
