"""The key of a pool: who knows it belongs to it. It travels in a ticket (``wire.tickets``), never on a command line."""

from __future__ import annotations

import hmac
import secrets
from typing import NoReturn

from tracking.errors import InputError

KEY_BYTES = 32


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
        raise TypeError("a key is not pickled: it is handed over in a ticket")

    def code_of(self, data: bytes) -> bytes:
        """HMAC-SHA256 of these bytes."""
        return hmac.digest(self._secret, data, "sha256")

    def fits(self, data: bytes, code: bytes) -> bool:
        """Whether this is the code of these bytes; takes as long whatever the answer."""
        return hmac.compare_digest(self.code_of(data), code)

    def hex(self) -> str:
        """The bits as text, for a private channel or file."""
        return self._secret.hex()
