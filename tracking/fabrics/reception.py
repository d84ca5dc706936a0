"""Where relays dial: lets in those that are expected, alone and unheard, and hands over their lines.

::

    Listener --proved the key--> TLS handshakes, 10 s each --certificate and seals right--> RelayUp(number, carrier)
             ---------------------- where lines are not encrypted ---------------------->

The port is not open before the first ticket or the first relay that is expected. From then on it stays this one until
the end, since jobs that wait in a queue for days hold the ticket: a port that was given up, anybody on this machine
could take. While nobody is expected nobody is accepted: who comes waits in the kernel, and costs nothing here.

Who is in a TLS handshake has proved the key for a number that was expected: so there are never more of them than
relays to come. Where one fails (its line was taken over, say) this number is expected again.
"""

from __future__ import annotations

import contextlib
import selectors
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tracking.errors import EngineError, InputError
from tracking.fabrics.launcher import RelayUp
from tracking.fabrics.own_addresses import own_hosts
from tracking.wire.carriers import SocketCarrier
from tracking.wire.keys import Key
from tracking.wire.listener import Dialled, Listener, RateLimited
from tracking.wire.tickets import Ticket, address_of, address_text
from tracking.wire.tls import SHAKE_S, Identity, Shaking
from tracking.wire.tls_carrier import TlsCarrier

_ANY_IPV4, _ANY_IPV6 = "0.0.0.0", "::"  # noqa: S104  (only compared with)


@dataclass(slots=True)
class _Shaker:
    number: int
    peer: str
    since: float
    shaking: Shaking
    descriptor: int
    waits_for: int = 0  # selectors' events


class Reception:
    """Lets relays in.

    Args:
        key: the pool's.
        address: where to listen; "": on all addresses of this machine.
        port: 0: any that is free; (first, last): one of these, which a firewall lets through.
        reachable_as: HOST or HOST:PORT under which relays find this machine; none: all of its addresses and names.
        is_encrypted: False: who can read or change what passes on the network can read and change the lines, too.
        clock: seconds, monotonic.

    Raises:
        InputError: such a port or address cannot be.
        EngineError: what is needed for encryption is not installed.
    """

    def __init__(
        self,
        key: Key,
        *,
        address: str = "",
        port: int | tuple[int, int] = 0,
        reachable_as: Sequence[str] = (),
        is_encrypted: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key = key
        self._address = address
        self._port = _checked_port(port)
        self._reachable_as = _checked_hosts(reachable_as)
        self._clock = clock
        self._identity = Identity.new() if is_encrypted else None
        self._context: ssl.SSLContext | None = None
        self._listener: Listener | None = None
        self._selector: selectors.DefaultSelector | None = None
        self._shakers: dict[int, _Shaker] = {}  # by number; the oldest first
        self._failures = RateLimited(clock)
        self._ticket: Ticket | None = None

    # ---- who may come

    def ticket(self) -> Ticket:
        """What relays need to come; the same each time.

        Raises:
            EngineError: one cannot listen there; says what to do.
        """
        if self._ticket is None:
            listener = self._open()
            hosts = self._reachable_as or self._own_hosts(listener)
            addresses = tuple(_with_port(host, listener.port) for host in hosts)
            self._ticket = Ticket(addresses, self._key, self._identity)
        return self._ticket

    def expect(self, number: int) -> None:
        """Let this relay in, once.

        Raises:
            EngineError: one cannot listen there; says what to do.
        """
        self._open().expect(number)

    def forget(self, number: int) -> None:
        """Let this relay in no more."""
        if self._listener is not None:
            self._listener.forget(number)
            if number in self._shakers:
                self._leave(self._shakers[number]).line.close()
            self._rest_if_idle()

    def _open(self) -> Listener:
        if self._listener is None:
            try:
                self._listener = Listener(self._key, self._address, self._port, self._clock)
            except OSError as error:
                words = error.strerror or error
                raise EngineError(f"slaves cannot dial back: {words}; set address= or port=") from error
            self._selector = selectors.DefaultSelector()
            self._selector.register(self._listener, selectors.EVENT_READ)
            self._listener.rest()
        return self._listener

    def _own_hosts(self, listener: Listener) -> list[str]:
        if self._address in ("", _ANY_IPV4, _ANY_IPV6):
            return own_hosts(ipv6=listener.speaks_ipv6)
        return [self._address]

    # ---- what happens

    def descriptors(self) -> Iterable[int]:
        """What to watch for reading."""
        return [] if self._selector is None else [self._selector.fileno()]

    def poll_within_s(self) -> float | None:
        """In how many seconds ``poll`` is wanted though no descriptor is ready; None: it is not."""
        dues = [] if self._listener is None else [self._listener.poll_within_s()]
        if self._shakers:
            dues.append(max(0.0, next(iter(self._shakers.values())).since + SHAKE_S - self._clock()))
        return min((due for due in dues if due is not None), default=None)

    def poll(self) -> list[RelayUp]:
        """Do what can be done now; the relays that have come."""
        if self._listener is None or self._selector is None:
            return []
        news: list[RelayUp] = []
        self._drop_slow()
        for key, _ in self._selector.select(0):
            shaker: _Shaker | None = key.data
            if shaker is not None:
                news += self._advance(shaker)
        for dialled in self._listener.poll():
            news += self._came(dialled)
        self._rest_if_idle()
        return news

    def _came(self, dialled: Dialled) -> list[RelayUp]:
        if self._identity is None:
            return [RelayUp(dialled.number, SocketCarrier(dialled.socket, dialled.peer))]
        if dialled.number in self._shakers:  # expected again meanwhile
            self._leave(self._shakers[dialled.number]).line.close()
        if self._context is None:
            self._context = self._identity.context(is_master=True)
        try:
            shaking = Shaking(dialled.socket, self._context, self._identity, dialled.seals, is_master=True)
        except OSError as error:
            self._failed(dialled.number, dialled.peer, str(error))
            return []
        shaker = _Shaker(dialled.number, dialled.peer, self._clock(), shaking, shaking.line.fileno())
        self._shakers[dialled.number] = shaker
        return self._advance(shaker)

    def _advance(self, shaker: _Shaker) -> list[RelayUp]:
        try:
            self._wait(shaker, shaker.shaking.advance())
        except OSError as error:
            self._fail(shaker, str(error))
            return []
        if shaker.waits_for:
            return []
        return [RelayUp(shaker.number, TlsCarrier(self._leave(shaker).line, shaker.peer))]

    def _wait(self, shaker: _Shaker, events: int) -> None:
        assert self._selector is not None
        if events and shaker.waits_for:
            self._selector.modify(shaker.descriptor, events, shaker)
        elif events:
            self._selector.register(shaker.descriptor, events, shaker)
        elif shaker.waits_for:
            self._selector.unregister(shaker.descriptor)
        shaker.waits_for = events

    def _drop_slow(self) -> None:
        for shaker in list(self._shakers.values()):
            if self._clock() - shaker.since < SHAKE_S:
                return
            self._fail(shaker, f"its line was not encrypted after {SHAKE_S:g} s")

    def _fail(self, shaker: _Shaker, why: str) -> None:
        self._leave(shaker).line.close()
        self._failed(shaker.number, shaker.peer, why)

    def _failed(self, number: int, peer: str, why: str) -> None:
        """It may try again: whoever spoilt its line must not keep it out."""
        assert self._listener is not None
        self._listener.expect(number)
        self._failures.say("a line of relay %d from %s was refused: %s", number, peer, why)

    def _leave(self, shaker: _Shaker) -> Shaking:
        self._wait(shaker, 0)
        del self._shakers[shaker.number]
        return shaker.shaking

    def _rest_if_idle(self) -> None:
        assert self._listener is not None
        if not self._listener.expects_anybody:
            self._listener.rest()

    def close(self) -> None:
        """Listen no more, and drop who is on its way in. May be called again."""
        for shaker in list(self._shakers.values()):
            self._leave(shaker).line.close()
        if self._listener is not None:
            self._listener.close()
            self._failures.tell_rest()
        if self._selector is not None:
            self._selector.close()
        self._listener = self._selector = self._ticket = None


def _checked_port(port: int | tuple[int, int]) -> int | tuple[int, int]:
    first, last = (port, port) if isinstance(port, int) else port
    if not 0 <= first <= last < 1 << 16 or (first == 0 and last > 0):
        raise InputError(f"port={port!r}: give a port, or (first, last), of 1 to 65535")
    return port


def _checked_hosts(hosts: Sequence[str]) -> list[str]:
    if isinstance(hosts, str):
        hosts = [hosts]
    for host in hosts:
        with contextlib.suppress(TypeError):
            if host and not any(letter.isspace() for letter in host):
                continue
        raise InputError(f"reachable_as: {host!r} is no host name or address of this machine")
    return list(hosts)


def _with_port(host: str, port: int) -> str:
    """As it is, if there is a port in it (a bare IPv6 address has none)."""
    if host.startswith("[") or host.count(":") == 1:
        has_port = not host.endswith("]")
        return address_text(*address_of(host)) if has_port else f"{host}:{port}"
    return address_text(host, port)
