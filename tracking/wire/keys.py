"""The key of a pool: made, handed over to its slaves, taken by them. Never on a command line, which all users see.

::

    by pipe          TRACKING_KEY_FD=n      descriptor n, inherited, holds it; for children of the master
    by environment   TRACKING_KEY=hex       for launchers that pass the environment on
    by file          TRACKING_KEY_FILE=path 0600 and the user's own, on a file system that the hosts share

Who takes the key removes these variables, so that programs which the work starts do not inherit it.
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from collections.abc import Mapping, MutableMapping
from typing import NoReturn

from tracking.errors import InputError
from tracking.wire.private import read_private, write_private

KEY_BYTES = 32
BY_DESCRIPTOR = "TRACKING_KEY_FD"
BY_VALUE = "TRACKING_KEY"
BY_FILE = "TRACKING_KEY_FILE"
VARIABLES = (BY_DESCRIPTOR, BY_VALUE, BY_FILE)


class Key:
    """256 secret bits. Neither shown nor pickled: no log, traceback or message can give them away.

    Args:
        secret: the bits; None: new ones.

    Raises:
        InputError: they are not 32 bytes.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes | None = None) -> None:
        self._secret = secrets.token_bytes(KEY_BYTES) if secret is None else secret
        if len(self._secret) != KEY_BYTES:
            raise InputError(f"a key has {KEY_BYTES} bytes, this one {len(self._secret)}")

    def __repr__(self) -> str:
        return "<a key>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled: see tracking.wire.keys for the ways to hand it over")

    def code_of(self, data: bytes) -> bytes:
        """HMAC-SHA256 of these bytes."""
        return hmac.digest(self._secret, data, "sha256")

    def fits(self, data: bytes, code: bytes) -> bool:
        """Whether this is the code of these bytes; takes as long whatever the answer."""
        return hmac.compare_digest(self.code_of(data), code)

    # ---- handed over

    def into_pipe(self) -> int:
        """The descriptor of a pipe that holds it, to be inherited by one child and closed here."""
        reading, writing = os.pipe()
        with open(writing, "wb", buffering=0) as pipe:
            pipe.write(self._secret)
        return reading

    def for_environment(self) -> dict[str, str]:
        """What to add to the environment of a child."""
        return {BY_VALUE: self.hex()}

    def hex(self) -> str:
        """The bits as text, for a private channel or file."""
        return self._secret.hex()

    def into_file(self, path: str | os.PathLike[str]) -> None:
        """Write it to a new file that nobody else can read.

        Raises:
            OSError: there is something of this name, or the file cannot be written; nothing is left behind.
        """
        write_private(path, self._secret)


def without_key(environ: Mapping[str, str]) -> dict[str, str]:
    """This environment without any key."""
    return {name: value for name, value in environ.items() if name not in VARIABLES}


def take_key(environ: MutableMapping[str, str] = os.environ) -> Key:
    """The key that was handed over; what told of it is removed, whatever comes of it.

    Raises:
        InputError: there is none, or it must not be trusted; says why.
    """
    told = {name: environ.pop(name) for name in VARIABLES if name in environ}
    if len(told) != 1:
        ways = " or ".join(told) or f"none of {', '.join(VARIABLES)}"
        raise InputError(f"the key must be handed over in one way; {ways} is set")
    ((way, value),) = told.items()
    if way == BY_VALUE:
        return Key(_from_hex(value))
    return _from_descriptor(value) if way == BY_DESCRIPTOR else from_file(value)


def _from_hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise InputError(f"{BY_VALUE} holds no key") from None  # and what it holds is not shown


def _from_descriptor(text: str) -> Key:
    try:
        with open(int(text), "rb", buffering=0) as pipe:
            if stat.S_ISREG(os.fstat(pipe.fileno()).st_mode):
                raise InputError(f"descriptor {text} ({BY_DESCRIPTOR}) is a file; it must be a pipe")
            return Key(pipe.read(KEY_BYTES + 1))
    except (ValueError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"the key cannot be read from descriptor {text!r} ({BY_DESCRIPTOR}): {error}") from None


def from_file(path: str | os.PathLike[str]) -> Key:
    """The key in a file.

    Raises:
        InputError: it cannot be read, is a link or no ordinary file, belongs to another user, or is open to others.
    """
    return Key(read_private(path, "key file", KEY_BYTES + 1))
