"""Where slaves dial: lets in those that are expected and prove the pool's key, and costs nobody else any time.

::

    listening socket --accept--> half-open lines: a handshake each --proved--> Dialled(number, socket)
                    at most        at most 128, each at most 5 s, 82 bytes
                    16 a poll      (and 0.1 s is all that a crowd leaves to it)

Nothing here blocks, and nothing is unpickled. ``poll`` whenever ``fileno`` can be read, and within ``poll_within_s``.

When more want to come in than there is room for, one of the half-open lines has to go: the oldest of the address
that has most of them, so that one mad machine does not shut out the others; but none that is younger than 0.1 s,
in which a slave says what it has to say many times over. If all are, the others wait in the kernel's queue. So a
thousand silent lines keep a real slave waiting for less than a second, in a lasting flood each line that comes up
still gets its chance (and a slave dials again), and the flood costs the master at most 1,280 accepts a second.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tracking.errors import ProtocolError
from tracking.wire import tcp
from tracking.wire.handshake import Answerer, Seals
from tracking.wire.keys import Key

logger = logging.getLogger("tracking")

MOST_HALF_OPEN = 128
HANDSHAKE_S = 5.0
CROWDED_HANDSHAKE_S = 0.1
_ACCEPTS_A_POLL = 16
_BACKLOG = 4096  # as many as the system allows
_NO_ROOM_PAUSE_S = 0.5  # without descriptors or memory nobody is accepted for so long
_LOG_INTERVAL_S = 10.0


@dataclass(frozen=True, slots=True)
class Dialled:
    """A line of a slave or relay, proved; the socket belongs to whoever gets this.

    Attributes:
        number: of the relay.
        socket: not blocking.
        peer: where it came from, for people.
        seals: of its handshake.
    """

    number: int
    socket: socket.socket
    peer: str
    seals: Seals = field(repr=False)


@dataclass(slots=True)
class _HalfOpen:
    socket: socket.socket
    address: str
    peer: str  # address and port, for people
    since: float
    answerer: Answerer


@dataclass(slots=True)
class Counts:
    """What became of the lines that came up.

    Attributes:
        accepted: connections that were taken from the kernel.
        let_in: of these, those that were proved and expected.
        refused: said or did something wrong.
        too_slow: were not done within the time that a handshake may take.
        crowded_out: had to go because others came.
    """

    accepted: int = 0
    let_in: int = 0
    refused: int = 0
    too_slow: int = 0
    crowded_out: int = 0


class Listener:
    """Listens for slaves.

    Args:
        key: the pool's.
        address: where to listen, a numeric address or a name of this machine; "": on all of its addresses.
        port: 0: any that is free; (first, last): one of these.
        clock: seconds, monotonic.

    Raises:
        OSError: one cannot listen there.
    """

    def __init__(
        self,
        key: Key,
        address: str = "127.0.0.1",
        port: int | tuple[int, int] = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key = key
        self._clock = clock
        self._expected: set[int] = set()
        self._half_open: dict[int, _HalfOpen] = {}  # by descriptor; the oldest first
        self._accept_at = 0.0  # not before, on the clock
        self._is_accepting = False
        self._is_resting = False
        self._refusals = RateLimited(clock)
        self.counts = Counts()
        self._socket = _listening(address, port)
        self._selector = selectors.DefaultSelector()
        self._accept_again()

    @property
    def speaks_ipv6(self) -> bool:
        """Whether it can be reached over IPv6."""
        return self._socket.family == socket.AF_INET6

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._socket.getsockname()[1]
        return port

    def fileno(self) -> int:
        """The descriptor to watch."""
        return self._selector.fileno()

    def expect(self, number: int) -> None:
        """Let this one in, once."""
        self._expected.add(number)
        self._is_resting = False
        self._accept_again()

    def forget(self, number: int) -> None:
        """Let this one in no more."""
        self._expected.discard(number)

    def rest(self) -> None:
        """Accept nobody before somebody is expected again; the port stays ours. Who comes waits in the kernel."""
        self._is_resting = True
        if self._is_accepting:
            self._pause(0.0)

    @property
    def expects_anybody(self) -> bool:
        """Whether there is any reason to listen."""
        return bool(self._expected)

    # ---- what happens

    def poll(self) -> list[Dialled]:
        """Do what can be done now; the lines that are proved."""
        dialled: list[Dialled] = []
        self._drop_slow()
        self._accept_again()
        for key, _ in self._selector.select(0):
            line: _HalfOpen | None = key.data
            if line is None:
                self._accept_some(dialled)
            elif self._half_open.get(key.fd) is line:  # else it has just been crowded out
                self._advance(line, dialled)
        return dialled

    def poll_within_s(self) -> float | None:
        """In how many seconds ``poll`` is wanted, though nothing can be read; None: never."""
        dues = [] if self._is_accepting or self._is_resting else [self._accept_at]
        if self._half_open:
            dues.append(next(iter(self._half_open.values())).since + HANDSHAKE_S)
        return max(0.0, min(dues) - self._clock()) if dues else None

    def close(self) -> None:
        """Listen no more; half-open lines are closed. May be called again."""
        for line in list(self._half_open.values()):
            self._drop(line)
        self._selector.close()
        self._socket.close()
        self._refusals.tell_rest()

    # ---- accepting

    def _accept_some(self, dialled: list[Dialled]) -> None:
        for _ in range(_ACCEPTS_A_POLL):
            goes = self._who_goes()
            left_s = goes.since + CROWDED_HANDSHAKE_S - self._clock() if goes is not None else 0.0
            if left_s > 0.0:
                self._pause(left_s)
                return
            try:
                near, address = self._socket.accept()
            except BlockingIOError:
                return
            except ConnectionError:
                continue  # it hung up while it waited
            except OSError as error:
                self._pause(_NO_ROOM_PAUSE_S)
                self._refusals.say("slaves cannot be let in for a moment: %s", error)
                return
            if goes is not None:
                self.counts.crowded_out += 1
                self._refuse(goes, "others came, and it had not proved our key yet")
            self._begin(near, address, dialled)

    def _who_goes(self) -> _HalfOpen | None:
        """Who has to go if one more comes; None: nobody, there is room."""
        if len(self._half_open) < MOST_HALF_OPEN:
            return None
        counts = Counter(line.address for line in self._half_open.values())
        most = max(counts.values())
        return next(line for line in self._half_open.values() if counts[line.address] == most)

    def _begin(self, near: socket.socket, address: tuple[str, int], dialled: list[Dialled]) -> None:
        self.counts.accepted += 1
        near.setblocking(False)
        tcp.tune(near)
        host = address[0].removeprefix("::ffff:")  # IPv4 on a socket for both
        peer = f"{host} port {address[1]}"
        line = _HalfOpen(near, host, peer, self._clock(), Answerer(self._key))
        self._half_open[near.fileno()] = line
        self._selector.register(near, selectors.EVENT_READ, line)
        self._advance(line, dialled)  # whoever means it has said hello by now

    def _pause(self, seconds: float) -> None:
        """Accept nobody meanwhile: else what waits would be told of again and again."""
        self._is_accepting = False
        self._accept_at = self._clock() + seconds
        self._selector.unregister(self._socket)

    def _accept_again(self) -> None:
        if not self._is_accepting and not self._is_resting and self._clock() >= self._accept_at:
            self._is_accepting = True
            self._selector.register(self._socket, selectors.EVENT_READ, None)

    # ---- half-open lines

    def _advance(self, line: _HalfOpen, dialled: list[Dialled]) -> None:
        """Take in what one has said, and answer."""
        try:
            self._converse(line)
            if line.answerer.is_proved:
                self._let_in(line, dialled)
        except (_HungUp, ConnectionResetError):
            # It tries several of our addresses, and another was faster: nothing to warn of.
            self.counts.refused += 1
            self._drop(line)
        except ProtocolError as error:
            self.counts.refused += 1
            self._refuse(line, str(error))
        except OSError as error:
            self.counts.refused += 1
            self._refuse(line, f"its line broke ({error.strerror})")

    def _converse(self, line: _HalfOpen) -> None:
        answerer = line.answerer
        while not answerer.is_proved:
            try:
                data = line.socket.recv(answerer.wanted)
            except BlockingIOError:
                return
            if not data:
                raise _HungUp("it hung up")
            try:
                self._say(line, answerer.received(data))
            except ProtocolError:
                if not answerer.has_answered:
                    with contextlib.suppress(OSError):
                        line.socket.send(answerer.head)  # another version of us can tell its people why
                raise

    @staticmethod
    def _say(line: _HalfOpen, data: bytes) -> None:
        """Send: so little always fits into the buffer of a new line, or else it is not worth having."""
        if data and line.socket.send(data) != len(data):
            raise ProtocolError("it does not listen")

    def _let_in(self, line: _HalfOpen, dialled: list[Dialled]) -> None:
        number = line.answerer.number
        if number not in self._expected:
            raise ProtocolError(f"it knows our key, but relay {number} is not expected, or has its line already")
        self._say(line, line.answerer.welcome())
        self._expected.discard(number)
        self._leave(line)
        self.counts.let_in += 1
        dialled.append(Dialled(number, line.socket, line.peer, line.answerer.seals()))

    def _drop_slow(self) -> None:
        while self._half_open:
            oldest = next(iter(self._half_open.values()))
            if self._clock() - oldest.since < HANDSHAKE_S:
                return
            self.counts.too_slow += 1
            self._refuse(oldest, f"it had not proved our key after {HANDSHAKE_S:g} s")

    def _refuse(self, line: _HalfOpen, why: str) -> None:
        self._drop(line)
        self._refusals.say("a line from %s was refused: %s", line.peer, why)

    def _drop(self, line: _HalfOpen) -> None:
        self._leave(line)
        line.socket.close()

    def _leave(self, line: _HalfOpen) -> None:
        self._selector.unregister(line.socket)
        del self._half_open[line.socket.fileno()]


def _listening(address: str, port: int | tuple[int, int]) -> socket.socket:
    first, last = (port, port) if isinstance(port, int) else port
    for number in range(first, last + 1):
        try:
            listening = _listening_at(address, number)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or number == last:
                words = f"one cannot listen at {address or 'all addresses'}, port {first}"
                raise OSError(error.errno, words + (f" to {last}" if last > first else "")) from error
            continue
        listening.setblocking(False)
        return listening
    raise ValueError(f"port range {port} is empty")


def _listening_at(address: str, port: int) -> socket.socket:
    if not address and socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=True)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise
            # else IPv6 is known to the system, and switched off
    if not address:
        return socket.create_server(("", port), backlog=_BACKLOG)
    family, *_, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return socket.create_server((str(place[0]), port), family=family, backlog=_BACKLOG)


class _HungUp(ProtocolError):
    """The other end wants no more of us."""


class RateLimited:
    """Warnings, one in ten seconds; the others are counted."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._next = 0.0
        self._unsaid = 0

    def say(self, words: str, *arguments: object) -> None:
        """Log it, or count it."""
        if self._clock() < self._next:
            self._unsaid += 1
            return
        self._next = self._clock() + _LOG_INTERVAL_S
        self.tell_rest()
        logger.warning(words, *arguments)

    def tell_rest(self) -> None:
        """Log how many there were."""
        if self._unsaid:
            logger.warning("... and %d more lines were refused", self._unsaid)
        self._unsaid = 0
