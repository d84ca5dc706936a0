"""Both ends of a line prove that they know the pool's key, before anything else: bytes in, bytes out, no I/O.

::

    dialler (relay)                                                     listener (master)
      HELLO    mark, version, relay number, nonce d  ------------------>  reads 50 bytes
      reads 10, then 64                <------------  ANSWER   mark, version; nonce l, code(listener, ...)
      PROOF    code(dialler, ...)  ------------------------------------>  reads 32: now it knows who this is
      reads 32                         <------------------------------  WELCOME  code(welcome, ...)

    code(role, ...) = HMAC-SHA256(key, role, version, relay number, nonce d, nonce l)

Every field has a fixed size, so no two different handshakes are proved by the same bytes. Each role has a name of
its own in what is proved: nothing that one end says can be said back to it. Each end's nonce is new: nothing that
was recorded fits again. The dialler proves nothing before the listener has, so it can be asked by nobody. What is
wrong is a ProtocolError that says so in words of ours; nothing that the other end sends is shown.

An end asks for exactly ``wanted`` bytes at a time, so it never takes what belongs to the channel behind it.
It proves who is at the other end, not that nobody stands between: see the README on security.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from tracking.errors import ProtocolError
from tracking.wire.keys import Key

MARK: Final = b"TRKLINE\n"
VERSION: Final = 2
NONCE_BYTES: Final = 32
CODE_BYTES: Final = 32
_HEAD: Final = struct.Struct("!8sH")
_HELLO: Final = struct.Struct(f"!Q{NONCE_BYTES}s")
_CLAIM: Final = struct.Struct("!HQ")
_LISTENER: Final = b"tracking listener"
_DIALLER: Final = b"tracking dialler "
_WELCOME: Final = b"tracking welcome "
_DIALLER_SEAL: Final = b"tracking seal of the dialler "
_LISTENER_SEAL: Final = b"tracking seal of the listener"


class Seals(NamedTuple):
    """What both ends say of this handshake over an encrypted line: nobody else can, and none fits another one."""

    dialler: bytes
    listener: bytes


class _End:
    """What both ends have in common: gather what is wanted, then act on it.

    Attributes:
        wanted: how many bytes the next step needs; 0: there is none.
        is_done: the other end has proved the key, and the line may be used.
    """

    def __init__(self, key: Key, nonce: bytes | None, wanted: int) -> None:
        self._key = key
        self._nonce = secrets.token_bytes(NONCE_BYTES) if nonce is None else nonce
        self._came = b""
        self._size = wanted
        self.is_done = False

    @property
    def wanted(self) -> int:
        return self._size - len(self._came)

    def received(self, data: bytes) -> bytes:
        """Take at most ``wanted`` bytes; what to send to the other end.

        Raises:
            ProtocolError: the other end is not who it should be; this handshake is over.
        """
        if len(data) > self.wanted:
            raise ProtocolError("it said more than was wanted")
        self._came += data
        self._look_early(self._came)
        if self.wanted:
            return b""
        came, self._came, self._size = self._came, b"", 0
        return self._step(came)

    def _look_early(self, came: bytes) -> None:
        """What is wrong from its first bytes on is not waited for."""

    def _step(self, came: bytes) -> bytes:
        raise NotImplementedError

    def _fits(self, role: bytes, code: bytes) -> bool:
        return self._key.fits(role + self._transcript, code)

    def _code(self, role: bytes) -> bytes:
        return self._key.code_of(role + self._transcript)

    def seals(self) -> Seals:
        """For what follows a handshake that is done, where nobody else can hear it."""
        assert self.is_done
        return Seals(self._code(_DIALLER_SEAL), self._code(_LISTENER_SEAL))

    _transcript = b""


class Dialler(_End):
    """The relay's end.

    Args:
        key: the pool's.
        number: the relay's.
        nonce: for tests only.
    """

    def __init__(self, key: Key, number: int, nonce: bytes | None = None) -> None:
        super().__init__(key, nonce, _HEAD.size)
        self._claim = _CLAIM.pack(VERSION, number)
        self.hello = _HEAD.pack(MARK, VERSION) + _HELLO.pack(number, self._nonce)
        self._next: Callable[[bytes], bytes] = self._head_came

    def _look_early(self, came: bytes) -> None:
        if self._next == self._head_came:
            _check_mark(came)

    def _step(self, came: bytes) -> bytes:
        return self._next(came)

    def _head_came(self, head: bytes) -> bytes:
        _check_version(head)
        self._size, self._next = NONCE_BYTES + CODE_BYTES, self._answer_came
        return b""

    def _answer_came(self, answer: bytes) -> bytes:
        self._transcript = self._claim + self._nonce + answer[:NONCE_BYTES]
        if not self._fits(_LISTENER, answer[NONCE_BYTES:]):
            raise ProtocolError("it does not know our key: it is not our master")
        self._size, self._next = CODE_BYTES, self._welcome_came
        return self._code(_DIALLER)

    def _welcome_came(self, code: bytes) -> bytes:
        if not self._fits(_WELCOME, code):
            raise ProtocolError("it knows our key, but its welcome is wrong")
        self.is_done = True
        return b""


class Answerer(_End):
    """The master's end. Who is at the other is known when ``is_proved``; ``welcome`` ends it well.

    Args:
        key: the pool's.
        nonce: for tests only.

    Attributes:
        number: what the other end says it is; to be believed when ``is_proved``.
        is_proved: the other end knows the key.
        has_answered: its hello was all right, and our answer is on its way.
    """

    def __init__(self, key: Key, nonce: bytes | None = None) -> None:
        super().__init__(key, nonce, _HEAD.size + _HELLO.size)
        self.number = 0
        self.is_proved = False
        self.has_answered = False

    def _look_early(self, came: bytes) -> None:
        if not self.has_answered:
            _check_mark(came)
            if len(came) >= _HEAD.size:
                _check_version(came)  # the hello of another version may be shorter

    def _step(self, came: bytes) -> bytes:
        return self._proof_came(came) if self.has_answered else self._hello_came(came)

    def _hello_came(self, hello: bytes) -> bytes:
        self.number, nonce = _HELLO.unpack_from(hello, _HEAD.size)
        self._transcript = _CLAIM.pack(VERSION, self.number) + nonce + self._nonce
        self._size, self.has_answered = CODE_BYTES, True
        return self.head + self._nonce + self._code(_LISTENER)

    @property
    def head(self) -> bytes:
        """What also the end of another version understands: it can tell its people which one we speak."""
        return _HEAD.pack(MARK, VERSION)

    def _proof_came(self, code: bytes) -> bytes:
        if not self._fits(_DIALLER, code):
            raise ProtocolError("it does not know our key")
        self.is_proved = True
        return b""

    def welcome(self) -> bytes:
        """The last bytes of the handshake: the line is taken."""
        assert self.is_proved
        self.is_done = True
        return self._code(_WELCOME)


def _check_mark(came: bytes) -> None:
    if not MARK.startswith(came[: len(MARK)]):
        raise ProtocolError("it speaks another language")


def _check_version(head: bytes) -> None:
    _, version = _HEAD.unpack_from(head)
    if version != VERSION:
        raise WrongVersion(version)


class WrongVersion(ProtocolError):
    """The other end is of another version of this package."""

    def __init__(self, version: int) -> None:
        super().__init__(
            f"it speaks version {version} of the handshake, we speak {VERSION}: "
            "the same version of this package must be installed on all hosts"
        )
