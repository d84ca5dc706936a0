"""A relay finds its master: tries all addresses nearly at once, proves the key, and has the line encrypted.

::

    every address: connect --+                one at a time, the next joins it when it says nothing for 2 s:
      (0.1 s after the       +--> connected --> handshake (``wire.handshake``) --the first done--> TLS --> Carrier
       one before)           |
    names only when no number has led to the master, since looking them up may take long
"""

from __future__ import annotations

import errno
import os
import random
import selectors
import socket
import time
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from tracking.errors import ProtocolError
from tracking.wire import tcp
from tracking.wire.carriers import Carrier, SocketCarrier
from tracking.wire.handshake import Dialler
from tracking.wire.tickets import Address, Ticket, address_of
from tracking.wire.tls import SHAKE_S, Shaking
from tracking.wire.tls_carrier import TlsCarrier

DIAL_TIMEOUT_S = 60.0  # so long a relay looks for its master
_STAGGER_S = 0.1
_NOBODY_S = 10.0  # the same, where nobody listens at any of its addresses: it has ended
_CONNECT_TIMEOUT_S = 5.0
_HANDSHAKE_TIMEOUT_S = 10.0
_PATIENCE_S = 2.0
_LEAST_ROUND_S = 1.0  # the last round, too, shall find out what is wrong
_SHORTEST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
_MOST_REFUSALS = 3  # a master of another version, or with another key, does not change its mind
_NO_WAY = errno.ENETUNREACH  # this host has no such network, IPv6 perhaps
_HELP = (
    "If the master has another address for this host, say which with reachable_as=; "
    "if a firewall lets only some ports through, say which with port=(first, last)"
)


def dial_master(
    ticket: Ticket,
    number: int,
    timeout_s: float = DIAL_TIMEOUT_S,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Carrier:
    """The line of this relay to its master, proved, and encrypted if the ticket says so.

    Args:
        ticket: of the pool.
        number: which relay this is.
        timeout_s: seconds after which it is given up; sooner where nobody listens at any of its addresses.
        clock, sleep: seconds.

    Raises:
        ConnectionError: it cannot be reached, or none of those that answer is our master; says what each address said.
    """
    end = clock() + timeout_s
    nobody_since: float | None = None
    addresses = [address_of(text) for text in ticket.addresses]
    refusals = 0
    pause_s = _SHORTEST_PAUSE_S
    while True:
        problems: dict[Address, OSError] = {}
        carrier = _try_all(ticket, number, addresses, end, problems, clock)
        if carrier is not None:
            return carrier
        answered = [address for address, problem in problems.items() if isinstance(problem, ProtocolError)]
        refusals += bool(answered) and all(not _may_change(problem) for problem in problems.values())
        is_nobody_there = _is_nobody_there(problems.values())
        nobody_since = (clock() if nobody_since is None else nobody_since) if is_nobody_there else None
        is_gone = nobody_since is not None and clock() + pause_s >= nobody_since + _NOBODY_S
        if refusals == _MOST_REFUSALS or is_gone or clock() + pause_s >= end:
            raise ConnectionError(_not_found(problems))
        addresses.sort(key=lambda address: address not in answered)  # who has answered is tried first
        sleep(random.uniform(0.5, 1.0) * pause_s)  # many relays should not come at the same moment
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _may_change(problem: OSError) -> bool:
    """Whether trying again helps: the master may be too busy, its network down for a moment; but not who it is."""
    return not isinstance(problem, ProtocolError)


def _is_nobody_there(problems: Collection[OSError]) -> bool:
    """Whether every address says that nobody listens there, but those that mean nothing on this host."""
    telling = [problem for problem in problems if not isinstance(problem, socket.gaierror) and problem.errno != _NO_WAY]
    return bool(telling) and all(isinstance(problem, ConnectionRefusedError) for problem in telling)


def _not_found(problems: dict[Address, OSError]) -> str:
    said = "; ".join(f"{host} port {port}: {problem.strerror or problem}" for (host, port), problem in problems.items())
    return f"{socket.gethostname()} cannot reach the master: {said or 'it has no address'}. {_HELP}"


def _try_all(
    ticket: Ticket,
    number: int,
    addresses: Sequence[Address],
    end: float,
    problems: dict[Address, OSError],
    clock: Callable[[], float],
) -> Carrier | None:
    numeric = [address for address in addresses if _is_numeric(address[0])]
    for some in (numeric, [address for address in addresses if address not in numeric]):
        race = _Race(ticket, number, _looked_up(some, problems), problems)
        try:
            won = race.run(max(_LEAST_ROUND_S, min(end - clock(), _CONNECT_TIMEOUT_S + _HANDSHAKE_TIMEOUT_S)))
        finally:
            race.close()
        if won is not None:
            try:
                return _encrypted(ticket, won)
            except OSError as problem:
                problems[won.address] = problem
    return None


def _is_numeric(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    except OSError:
        return False
    return True


class _Place(NamedTuple):
    address: Address  # as the ticket says
    family: int
    place: tuple[object, ...]  # as the system wants it


def _looked_up(addresses: Sequence[Address], problems: dict[Address, OSError]) -> list[_Place]:
    places = []
    for address in addresses:
        try:
            found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as problem:
            problems[address] = problem if isinstance(problem, OSError) else OSError(str(problem))
            continue
        places += [_Place(address, family, place) for family, _, _, _, place in found]
    return places


class _Try:
    __slots__ = ("address", "dialler", "due", "is_connected", "socket")

    def __init__(self, address: Address, near: socket.socket, due: float) -> None:
        self.address = address
        self.socket = near
        self.due = due
        self.is_connected = False
        self.dialler: Dialler | None = None  # it has said hello


class _Race:
    """Tries places side by side; the first whose handshake is done wins. Times are real ones: it waits for sockets."""

    def __init__(
        self, ticket: Ticket, number: int, places: list[_Place], problems: dict[Address, OSError]
    ) -> None:
        self._key, self._number = ticket.key, number
        self._places = places[::-1]
        self._problems = problems
        self._tries: list[_Try] = []
        self._selector = selectors.DefaultSelector()
        self._begin_at = 0.0  # the next place
        self._talk_at = 0.0  # with the next one that is connected

    def run(self, timeout_s: float) -> _Try | None:
        """The line that is proved, which belongs to the caller; None: there is none, and why is in ``problems``."""
        end = time.monotonic() + timeout_s
        while self._places or self._tries:
            now = time.monotonic()
            self._drop_late(min(now, end) if now < end else float("inf"))
            if now >= end:
                return None
            self._begin_next(now)
            self._talk_to_next(now)
            for key, _ in self._selector.select(self._wait_s(now, end)):
                one: _Try = key.data
                if self._advance(one):
                    self._leave(one)
                    return one
        return None

    def close(self) -> None:
        """Hang up on all that are left."""
        for one in list(self._tries):
            self._leave(one)
            one.socket.close()
        self._selector.close()

    def _wait_s(self, now: float, end: float) -> float:
        dues = [end, *(one.due for one in self._tries)]
        if self._places:
            dues.append(self._begin_at)
        if any(one.is_connected and one.dialler is None for one in self._tries):
            dues.append(self._talk_at)
        return max(0.0, min(dues) - now)

    def _begin_next(self, now: float) -> None:
        while self._places and (now >= self._begin_at or not self._tries):
            self._begin(self._places.pop(), now)
            self._begin_at = now + _STAGGER_S

    def _begin(self, place: _Place, now: float) -> None:
        try:
            near = socket.socket(place.family, socket.SOCK_STREAM)
        except OSError as problem:
            self._problems[place.address] = problem
            return
        near.setblocking(False)
        status = near.connect_ex(place.place)
        if status not in (0, errno.EINPROGRESS):
            near.close()
            self._problems[place.address] = OSError(status, os.strerror(status))
            return
        one = _Try(place.address, near, now + _CONNECT_TIMEOUT_S)
        self._tries.append(one)
        self._selector.register(near, selectors.EVENT_WRITE, one)

    def _talk_to_next(self, now: float) -> None:
        """Not to all at once: the same master at another of its addresses would have to refuse us."""
        is_talking = any(one.dialler is not None for one in self._tries)
        for one in self._tries:
            if one.is_connected and one.dialler is None and (now >= self._talk_at or not is_talking):
                self._talk(one, now)
                return

    def _talk(self, one: _Try, now: float) -> None:
        one.dialler = Dialler(self._key, self._number)
        one.due = now + _HANDSHAKE_TIMEOUT_S
        self._talk_at = now + _PATIENCE_S
        self._selector.register(one.socket, selectors.EVENT_READ, one)
        try:
            one.socket.send(one.dialler.hello)  # so little always fits
        except OSError as problem:
            self._fail(one, problem)

    def _advance(self, one: _Try) -> bool:
        try:
            if one.dialler is None:
                self._connected(one)
                return False
            return self._converse(one, one.dialler)
        except BlockingIOError:
            return False
        except OSError as problem:
            self._fail(one, problem)
            return False

    def _connected(self, one: _Try) -> None:
        status = one.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if status:
            raise OSError(status, os.strerror(status))
        tcp.tune(one.socket)
        self._selector.unregister(one.socket)
        one.is_connected = True
        one.due = float("inf")  # it waits for us

    def _converse(self, one: _Try, dialler: Dialler) -> bool:
        while dialler.wanted:
            data = one.socket.recv(dialler.wanted)
            if not data:
                raise ConnectionResetError(errno.ECONNRESET, "it hung up")
            answer = dialler.received(data)
            if answer:
                one.socket.send(answer)
        return True

    def _drop_late(self, now: float) -> None:
        for one in [one for one in self._tries if one.due <= now]:
            words = "it does not answer" if one.is_connected else "it cannot be reached, nothing comes back"
            self._fail(one, TimeoutError(errno.ETIMEDOUT, words))

    def _fail(self, one: _Try, problem: OSError) -> None:
        self._problems[one.address] = problem
        self._leave(one)
        one.socket.close()

    def _leave(self, one: _Try) -> None:
        self._tries.remove(one)
        if one.socket in self._selector.get_map():
            self._selector.unregister(one.socket)


def _encrypted(ticket: Ticket, won: _Try) -> Carrier:
    """The line from now on; bounded."""
    host, port = won.address
    name = f"{host} port {port}"
    if ticket.identity is None:
        return SocketCarrier(won.socket, name)
    assert won.dialler is not None
    try:
        context = ticket.identity.context(is_master=False)
        shaking = Shaking(won.socket, context, ticket.identity, won.dialler.seals(), is_master=False)
    except BaseException:
        won.socket.close()
        raise
    try:
        _shake(shaking, time.monotonic() + SHAKE_S)
    except BaseException:
        shaking.line.close()
        raise
    return TlsCarrier(shaking.line, name)


def _shake(shaking: Shaking, end: float) -> None:
    with selectors.DefaultSelector() as selector:
        descriptor = shaking.line.fileno()
        while events := shaking.advance():
            left_s = end - time.monotonic()
            selector.register(descriptor, events)
            if left_s <= 0.0 or not selector.select(left_s):
                raise TimeoutError(errno.ETIMEDOUT, f"the line was not encrypted after {SHAKE_S:g} s")
            selector.unregister(descriptor)
