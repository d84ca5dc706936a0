"""What a relay needs to find its master, be let in and be alone with it: in a file, or over a private channel."""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple

from tracking.errors import InputError
from tracking.wire.keys import Key
from tracking.wire.private import read_private, write_private
from tracking.wire.tls import Identity

_VERSION = 1
_MOST_BYTES = 1 << 20

Address = tuple[str, int]


class Ticket(NamedTuple):
    """Who holds it is let in where a relay is expected, and can read what its relays say: hand it over in private.

    Its secrets are neither shown nor pickled.

    Attributes:
        addresses: where the master may be reached, HOST:PORT each; IPv6 in brackets; the likeliest first.
        key: the pool's.
        identity: with what lines are encrypted; None: they are not.
    """

    addresses: tuple[str, ...]
    key: Key
    identity: Identity | None

    def text(self) -> str:
        """All of it, secrets included: for a private channel."""
        identity = self.identity
        return json.dumps(
            {
                "version": _VERSION,
                "addresses": self.addresses,
                "key": self.key.hex(),
                "certificate": identity and identity.certificate,
                "private_key": identity and identity.private_key,
            }
        )

    @classmethod
    def from_text(cls, text: str | bytes) -> Ticket:
        """The ticket that gave this text.

        Raises:
            InputError: it is none; what it is is not shown.
        """
        try:
            fields = json.loads(text)
            version, addresses = fields["version"], tuple(fields["addresses"])
            secret, pair = bytes.fromhex(fields["key"]), (fields["certificate"], fields["private_key"])
        except (ValueError, TypeError, KeyError):
            raise InputError("this is no ticket, or a damaged one") from None
        if version != _VERSION:
            raise InputError("the ticket is of another version: the same of this package must be on all hosts")
        for address in addresses:
            address_of(address)
        return cls(addresses, Key(secret), _identity(*pair))

    def into_file(self, path: str | os.PathLike[str]) -> None:
        """Write it to a new file that nobody else can read.

        Raises:
            OSError: there is something of this name, or the file cannot be written; nothing is left behind.
        """
        write_private(path, self.text().encode())

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Ticket:
        """The ticket in a file.

        Raises:
            InputError: it cannot be read, is a link or no ordinary file, belongs to another user, is open to others, or
                holds no ticket.
        """
        text = read_private(path, "ticket file", _MOST_BYTES)
        try:
            return cls.from_text(text)
        except InputError as error:
            raise InputError(f"ticket file {os.fspath(path)}: {error}") from None


def _identity(certificate: Any, private_key: Any) -> Identity | None:
    if certificate is None and private_key is None:
        return None
    if not isinstance(certificate, str) or not isinstance(private_key, str):
        raise InputError("this is no ticket, or a damaged one")
    return Identity(certificate, private_key)


def address_of(text: str) -> Address:
    """``HOST:PORT``; an IPv6 host may stand in brackets.

    Raises:
        InputError: it is none.
    """
    host, _, port = str(text).rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16):
        raise InputError(f"{text!r} is no address: write HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def address_text(host: str, port: int) -> str:
    """The other way round."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
