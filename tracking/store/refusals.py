"""Why a file cannot be used, in words: which file, what is wrong, what to do."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from tracking.errors import StoreError

if TYPE_CHECKING:
    from tracking.store.records import JobRecord

_WORDS = {
    errno.ENOENT: "does not exist",
    errno.ENOTDIR: "is not below a directory",
    errno.EISDIR: "is a directory; give the name of a file",
    errno.EACCES: "cannot be used for want of permission; choose a place where you may write",
    errno.EPERM: "cannot be used for want of permission; choose a place where you may write",
    errno.EROFS: "lies on a read-only disk; choose a place where you may write",
    errno.ENOSPC: "cannot be written: the disk is full; make room or choose another disk",
    errno.EDQUOT: "cannot be written: your disk quota is used up; make room or choose another disk",
    errno.ENAMETOOLONG: "has a name that is too long",
}


def refusal(kind: str, path: Path, exc: OSError | sqlite3.Error) -> StoreError:
    """Turn an error of the system or of SQLite into one that says what to do.

    Args:
        kind: 'run file' or 'restart file'.
    """
    words = _os_words(path, exc) if isinstance(exc, OSError) else _sqlite_words(exc)
    return StoreError(f"{kind} {path} {words}")


def _os_words(path: Path, exc: OSError) -> str:
    if exc.errno == errno.ENOENT and not path.parent.is_dir():
        return f"cannot be made: there is no directory {path.parent}"
    return _WORDS.get(exc.errno or 0, f"cannot be used: {exc.strerror or exc}")


def _sqlite_words(exc: sqlite3.Error) -> str:
    name = getattr(exc, "sqlite_errorname", "")
    if name == "SQLITE_FULL":
        return _WORDS[errno.ENOSPC]
    if name.startswith("SQLITE_BUSY"):
        return "is held by another program that reads or writes it; close that one and try again"
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return f"{_WORDS[errno.EACCES]} ({exc})"
    if name.startswith("SQLITE_CORRUPT"):
        return f"is damaged ({exc}); restore it from a copy or give another name"
    if name.startswith("SQLITE_IOERR"):
        return f"cannot be read or written ({exc}): if the disk is full make room, else choose another disk"
    if name.startswith("SQLITE_NOTADB"):
        return "is no run file (not even an SQLite file); give another name"
    return f"cannot be used: {exc}"


def refuse_foreign(kind: str, path: Path, status: os.stat_result, *, trust: bool) -> None:
    """Refuse a file that somebody else could have filled: reading it would run what they put there.

    Args:
        status: of the file as opened or found.
        trust: True accepts it all the same; a directory is never accepted.

    Raises:
        StoreError: it is no ordinary file, has another owner, or others may write it.
    """
    if stat.S_ISDIR(status.st_mode):
        raise StoreError(f"{kind} {path} {_WORDS[errno.EISDIR]}")
    if not stat.S_ISREG(status.st_mode):
        raise StoreError(f"{kind} {path} is no ordinary file; give another name")
    if trust:
        return
    if status.st_uid != os.geteuid():
        raise StoreError(
            f"{kind} {path} belongs to another user (uid {status.st_uid}), who could run any code in your "
            f"name by what is in it; give trust=True if you trust that user"
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise StoreError(
            f"{kind} {path} may be written by other users, who could run any code in your name by what is "
            f"in it; if its content is yours: chmod go-w {path}, or give trust=True"
        )


def too_large(job: JobRecord) -> StoreError:
    """Say that the results of one job are more than a row takes."""
    names = ", ".join(map(repr, job.ids[:3])) + (", ..." if len(job.ids) > 3 else "")
    return StoreError(
        f"the results of one job (items {names}) are {len(job.payload) / 1e9:.1f} GB pickled, more "
        f"than a run file takes at once (1 GB): make the chunks smaller, or return the name of a file"
    )


def too_large_state(name: str, state: bytes) -> StoreError:
    """Say that a state is more than a row takes."""
    return StoreError(
        f"the state {name!r} has {len(state) / 1e9:.1f} GB, more than a run file takes at once (1 GB): keep what is "
        f"large in files, and their names in the state"
    )
