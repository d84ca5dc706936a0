"""Encrypted lines of relays: one throw-away certificate a pool, which both ends must show, and no other.

::

    relay                                                                  master
      handshake with the pool's key, in plain  (``wire.handshake``)   <->    strangers end here: OpenSSL never sees them
      TLS handshake: shows THE certificate, and has its private key   <->    the same
      sha256 of what the other has shown is compared                         the same
      seal of the relay  ------------------------------------------------->  the TLS is of this very handshake
      seal of the master  <------------------------------------------------  and it is taken

Why both ends show it: the handshake with the key comes first, so that a stranger costs next to nothing. But it only
proves who was there at that time. Somebody who stands between could let the two do it and take over the line
afterwards, towards either end; then he has to do the TLS handshake, and for that he lacks the private key. Why seals:
he could still join the plain handshake of one relay to the TLS of another; the seals are codes, by the pool's key, of
the handshake that went before, so each relay is who it said it was. Whether a line is encrypted is never agreed on
over it: each end knows beforehand, so nobody can talk them out of it.

The certificate travels with its private key in the ticket (``wire.tickets``) to the relays of this pool and nowhere
else, and is never used again. No authority signs anything, no name is checked: the one certificate is all of the trust.
Only the master needs the ``cryptography`` package, to make it; all else is the standard library's.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import selectors
import socket
import ssl
from collections.abc import Callable, Generator
from functools import partial
from typing import NoReturn, TypeVar

from tracking.errors import EngineError, InputError, ProtocolError
from tracking.wire.handshake import CODE_BYTES, Seals

SHAKE_S = 10.0  # so long all of this may take
_VALID_DAYS = 3650
_CLOCKS_DIFFER_DAYS = 1

T = TypeVar("T")
Steps = Generator[int, None, None]


class Identity:
    """The certificate of a pool with its private key. Neither shown nor pickled.

    Args:
        certificate, private_key: as PEM text.

    Raises:
        InputError: they are none, or do not belong together.
    """

    __slots__ = ("_certificate", "_fingerprint", "_private_key")

    def __init__(self, certificate: str, private_key: str) -> None:
        self._certificate, self._private_key = certificate, private_key
        try:
            self._fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).digest()
            self.context(is_master=False)
        except (ValueError, OSError):
            raise InputError("a certificate and its private key are damaged") from None  # and are not shown

    @classmethod
    def new(cls) -> Identity:
        """A new one, that nobody else has.

        Raises:
            EngineError: the package that makes certificates is not installed.
        """
        return cls(*_make())

    def __repr__(self) -> str:
        return "<an identity>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an identity is not pickled: see tracking.wire.tickets for the ways to hand it over")

    @property
    def certificate(self) -> str:
        """PEM text."""
        return self._certificate

    @property
    def private_key(self) -> str:
        """PEM text; secret."""
        return self._private_key

    def context(self, *, is_master: bool) -> ssl.SSLContext:
        """What lines of this pool are made with, at either end."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if is_master else ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3 if ssl.HAS_TLSv1_3 else ssl.TLSVersion.TLSv1_2
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=self._certificate)
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET | getattr(ssl, "OP_NO_RENEGOTIATION", 0)
        if is_master and ssl.HAS_TLSv1_3:
            context.num_tickets = 0  # no line is ever resumed
        _load(context, (self._certificate + self._private_key).encode())
        return context

    def check_peer(self, line: ssl.SSLSocket) -> None:
        """Whether the other end has shown this very certificate.

        Raises:
            ProtocolError: it has not.
        """
        shown = line.getpeercert(binary_form=True)
        if not hmac.compare_digest(hashlib.sha256(shown or b"").digest(), self._fingerprint):
            raise ProtocolError("it shows another certificate than that of our pool")


def _make() -> tuple[str, str]:
    import datetime  # only the master makes one

    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError:
        raise EngineError(
            "encrypted lines need the package 'cryptography': pip install 'tracking[tls]' on this machine only; "
            "or, in a network where nobody else can read or write, is_encrypted=False"
        ) from None
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "line")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(_CLOCKS_DIFFER_DAYS))
        .not_valid_after(now + datetime.timedelta(_VALID_DAYS))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(pem).decode(), private.decode()


def _load(context: ssl.SSLContext, chain: bytes) -> None:
    """``load_cert_chain``, which only takes paths: of a file in memory, or else of one that is removed at once."""
    if os.path.isdir("/proc/self/fd") and hasattr(os, "memfd_create"):
        with contextlib.suppress(OSError), open(os.memfd_create("line", os.MFD_CLOEXEC), "wb", buffering=0) as memory:
            memory.write(chain)
            context.load_cert_chain(f"/proc/self/fd/{memory.fileno()}", password=_no_password)
            return
    import tempfile  # takes long, and is hardly ever needed

    with tempfile.NamedTemporaryFile() as file:  # 0600
        file.write(chain)
        file.flush()
        context.load_cert_chain(file.name, password=_no_password)


def _no_password() -> str:
    """OpenSSL must never ask at the terminal."""
    return ""


class Shaking:
    """A TLS handshake with all that belongs to it, in steps that never wait. Owns the line until ``line`` is taken.

    Args:
        near: a connected socket, proved with the pool's key.
        context, identity: of the pool.
        seals: of the handshake in plain.
        is_master: at the master's end.

    Raises:
        OSError: the line is broken already; it is closed.
    """

    def __init__(
        self, near: socket.socket, context: ssl.SSLContext, identity: Identity, seals: Seals, *, is_master: bool
    ) -> None:
        try:
            near.setblocking(False)
            self.line = context.wrap_socket(near, server_side=is_master, do_handshake_on_connect=False)
        except BaseException:
            near.close()
            raise
        self._steps = self._answer(identity, seals) if is_master else self._begin(identity, seals)

    def advance(self) -> int:
        """Do what can be done now; for what to wait before the next call (``selectors``' events); 0: it is done.

        Raises:
            ProtocolError: the other end is not who it should be.
            OSError: the line is broken.
        """
        try:
            return next(self._steps, 0)
        except ProtocolError:
            raise
        except ssl.SSLError as error:
            raise ProtocolError(f"no encrypted line can be made with it: {_words(error)}") from None

    def _begin(self, identity: Identity, seals: Seals) -> Steps:
        yield from _patiently(self.line.do_handshake)
        identity.check_peer(self.line)
        yield from _patiently(partial(self.line.send, seals.dialler))
        yield from self._take(seals.listener)

    def _answer(self, identity: Identity, seals: Seals) -> Steps:
        yield from _patiently(self.line.do_handshake)
        identity.check_peer(self.line)
        yield from self._take(seals.dialler)
        yield from _patiently(partial(self.line.send, seals.listener))

    def _take(self, seal: bytes) -> Steps:
        came = b""
        while len(came) < CODE_BYTES:
            data = yield from _patiently(partial(self.line.recv, CODE_BYTES - len(came)))
            if not data:
                raise ProtocolError("it hung up while the line was being encrypted")
            came += data
        if not hmac.compare_digest(came, seal):
            raise ProtocolError("its line has been joined to that of another")


def _patiently(act: Callable[[], T]) -> Generator[int, None, T]:
    while True:
        try:
            return act()
        except ssl.SSLWantReadError:
            yield selectors.EVENT_READ
        except ssl.SSLWantWriteError:
            yield selectors.EVENT_WRITE


def _words(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not ours, or the clocks of the two hosts differ by days ({error.verify_message})"
    return str(error.reason or error.strerror or error).replace("_", " ").lower()
