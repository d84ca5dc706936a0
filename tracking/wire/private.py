"""Files that hold a secret: nobody else can read them, and nobody else has written them."""

from __future__ import annotations

import contextlib
import os
import stat

from tracking.errors import InputError


def write_private(path: str | os.PathLike[str], secret: bytes) -> None:
    """Write it to a new file that nobody else can read.

    Raises:
        OSError: there is something of this name, or the file cannot be written; nothing is left behind.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)  # whatever the umask
            file.write(secret)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise


def read_private(path: str | os.PathLike[str], what: str, most_bytes: int) -> bytes:
    """What is in a file that must be the user's own, and nobody else's to read; at most so many bytes of it.

    Args:
        path: the file.
        what: what people call it ("key file").
        most_bytes: what comes behind them is not read.

    Raises:
        InputError: it cannot be read, is a link or no ordinary file, belongs to another user, or is open to others.
    """
    try:
        # Without O_NONBLOCK a named pipe that somebody has put there would hold us up for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise InputError(f"{what} {os.fspath(path)} cannot be opened (it must not be a link): {error}") from None
    try:
        problem = _distrust(os.fstat(descriptor))
        if problem:
            raise InputError(f"{what} {os.fspath(path)} {problem}")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(most_bytes)
    finally:
        os.close(descriptor)


def _distrust(status: os.stat_result) -> str:
    if not stat.S_ISREG(status.st_mode):
        return "is no ordinary file"
    if status.st_uid != os.geteuid():
        return f"belongs to another user (uid {status.st_uid}), who knows the key"
    if status.st_mode & 0o077:
        return f"is open to others (mode {stat.S_IMODE(status.st_mode):04o}), who may know the key: make a new one"
    return ""
