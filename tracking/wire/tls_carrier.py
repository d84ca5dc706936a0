"""A carrier that is encrypted. Apart from the others, since loading TLS takes those long who do without it."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Sequence

from tracking.wire.carriers import Piece, first_bytes

_RECORD_BYTES = 16 * 1024


class TlsCarrier:
    """A socket with TLS, whose handshake is done; it belongs to it from now on.

    What it is given to write must still come first the next time, unless it took it: it may be on its way in part.
    One call takes at most what fits into one TLS record, and one call reads at most one.
    """

    def __init__(self, line: ssl.SSLSocket, name: str = "a TLS socket") -> None:
        self.name = name
        self._line = line
        self.wants_write = False
        self._retry = b""  # what OpenSSL has encrypted and could not write; it wants to see the same again
        line.setblocking(False)

    def read_descriptor(self) -> int:
        return self._line.fileno()

    def write_descriptor(self) -> int:
        return self._line.fileno()

    def read_into(self, space: memoryview) -> int | None:
        self.wants_write = False
        try:
            return self._line.recv_into(space)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLWantWriteError:
            self.wants_write = True
            return None
        except ssl.SSLEOFError:
            return 0

    def write(self, pieces: Sequence[Piece]) -> int:
        record: Piece = self._retry or first_bytes(pieces, _RECORD_BYTES)
        if not record:
            return 0
        try:
            written = self._line.send(record)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            self._retry = bytes(record)
            return 0
        self._retry = b""
        return written

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._line.close()
