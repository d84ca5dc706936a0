"""Which slave gets a place on which relay, and when another relay is to be started. Pure: told, remembers, decides.

::

    want(slave) --> waits --decide()--> Seat(slave, relay)      a relay has room for it
                      |       |
                      |       +-------> Launch(how many, host)  no relay has, and none is on its way
                      v
    relay_is_gone -> those that counted on it have nothing to wait for: returned, to be told of

By host: one relay a host, with room for all. Otherwise each relay has a number of slots, and the engine chooses
where it is. A slave that leaves is often replaced just before it is gone, so its place is waited for a moment before a
queue is asked for another. A slot whose time is limited is used again only for one that crashed early: who ended well
there has left because nothing more fits into the time that is left.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

PATIENCE_S = 1.0
_IDLE_S = 30.0  # a relay without slaves that nobody wants is let go after this time


class Seat(NamedTuple):
    """Start this slave on this relay."""

    tid: int
    relay: int


class Launch(NamedTuple):
    """Start relays with room for so many slaves; on this host, "" where the engine likes."""

    slots: int
    host: str


class Release(NamedTuple):
    """Nobody wants this relay any more: end it."""

    relay: int


Decision = Seat | Launch | Release


@dataclass(slots=True)
class _Waiting:
    tid: int
    host: str
    since: float


@dataclass(slots=True)
class _Relay:
    number: int
    host: str
    slots: float
    ends_at: float | None
    half_at: float | None  # half of its time is over then
    seated: set[int] = field(default_factory=set)
    idle_since: float = 0.0


@dataclass(slots=True)
class _Launched:
    """Relays under way that were asked for together."""

    host: str
    numbers: set[int]  # not up yet
    slots: int  # that have not been said to be up


class Seating:
    """Knows all relays of a fabric, and all slaves that want one.

    Args:
        is_by_host: one relay a host, with room for any number of slaves.
    """

    def __init__(self, *, is_by_host: bool) -> None:
        self._is_by_host = is_by_host
        self._waiting: dict[int, _Waiting] = {}
        self._relays: dict[int, _Relay] = {}
        self._launches: list[_Launched] = []
        self._where: dict[int, int] = {}  # tid -> relay
        self._decided_at = float("-inf")
        self._spare_since: float | None = None  # since then more relays are on their way than slaves wait

    # ---- what happens

    def want(self, tid: int, host: str, now: float) -> None:
        """A slave is to be started; on this host, if they are chosen by us."""
        self._waiting[tid] = _Waiting(tid, host if self._is_by_host else "", now)

    def unwant(self, tid: int) -> bool:
        """It is not wanted any more; False: it was not waiting."""
        return self._waiting.pop(tid, None) is not None

    def launched(self, numbers: list[int], host: str) -> None:
        """Relays of these numbers are on their way, with room for one slave each in all."""
        self._launches.append(_Launched(host, set(numbers), len(numbers)))

    def relay_is_up(self, number: int, slots: int | None, now: float, left_s: float | None = None) -> list[int]:
        """A relay has come, with so many slots (None: any number); numbers that need not be awaited any more."""
        launch = self._launch_of(number)
        host = launch.host if launch is not None else ""
        ends_at = None if left_s is None else now + left_s
        half_at = None if left_s is None else now + left_s / 2
        self._relays[number] = _Relay(
            number, host, float("inf") if slots is None else slots, ends_at, half_at, idle_since=now
        )
        return [] if launch is None else self._has_come(launch, number, slots)

    def _has_come(self, launch: _Launched, number: int, slots: int | None) -> list[int]:
        launch.numbers.discard(number)
        launch.slots -= launch.slots if slots is None else slots
        if launch.slots > 0 and launch.numbers:
            return []
        self._launches.remove(launch)
        return sorted(launch.numbers)

    def slave_has_ended(self, tid: int, now: float, *, is_well: bool) -> None:
        """A slave has left its place, well (by itself, with status 0) or not."""
        relay = self._relays.get(self._where.pop(tid, -1))
        if relay is None:
            return
        relay.seated.discard(tid)
        relay.idle_since = now
        if relay.half_at is not None and (is_well or now >= relay.half_at):
            relay.slots = max(0, relay.slots - 1)

    def relay_is_full(self, number: int) -> None:
        """A relay takes no more slaves, whatever room it has."""
        if number in self._relays:
            self._relays[number].slots = 0

    def relay_is_gone(self, number: int) -> list[int]:
        """A relay has ended, or will never come: the slaves that were on it, or that counted on it."""
        relay = self._relays.pop(number, None)
        if relay is not None:
            for tid in relay.seated:
                self._where.pop(tid, None)
            return sorted(relay.seated)
        launch = self._launch_of(number)
        if launch is None:
            return []
        before = launch.slots
        launch.numbers.discard(number)
        launch.slots = max(0, min(before - 1, len(launch.numbers)))  # there may be more numbers than slots
        lost = before - launch.slots
        if not launch.numbers:
            self._launches.remove(launch)
        return self._give_up(launch.host, lost)

    def _give_up(self, host: str, count: int) -> list[int]:
        """So many of those that wait, the last ones; by host, all of them."""
        tids = [waiting.tid for waiting in self._waiting.values() if waiting.host == host]
        if not self._is_by_host:
            spare = self._awaited("") + self._free() - len(tids)
            tids = tids[len(tids) - max(0, min(count, -spare, len(tids))) :]
        for tid in tids:
            del self._waiting[tid]
        return tids

    # ---- what is known

    def relay_of(self, tid: int) -> int | None:
        """The relay that a slave is on; None: it is on none."""
        return self._where.get(tid)

    def is_awaited(self, number: int) -> bool:
        """Whether this relay is on its way."""
        return self._launch_of(number) is not None

    def left_s(self, number: int, now: float) -> float | None:
        """How long a relay that is up may stay; None: as long as it likes."""
        ends_at = self._relays[number].ends_at
        return None if ends_at is None else max(0.0, ends_at - now)

    def next_decision(self, now: float) -> float | None:
        """In how many seconds ``decide`` may decide something though nothing happens before; None: it will not."""
        times = [relay.idle_since + _IDLE_S for relay in self._relays.values() if not relay.seated]
        if self._relays and not self._is_by_host:
            ends = (waiting.since + PATIENCE_S for waiting in self._waiting.values())
            times += [end for end in ends if end > self._decided_at]  # the others were decided on, and wait for relays
        if self._spare_since is not None:
            times.append(self._spare_since + PATIENCE_S)
        return max(0.0, min(times) - now) if times else None

    def _launch_of(self, number: int) -> _Launched | None:
        return next((launch for launch in self._launches if number in launch.numbers), None)

    def _awaited(self, host: str) -> int:
        return sum(launch.slots for launch in self._launches if launch.host == host)

    def _free(self) -> int:
        if self._is_by_host:
            return 0
        return int(sum(max(0, relay.slots - len(relay.seated)) for relay in self._relays.values()))

    # ---- what to do

    def decide(self, now: float) -> list[Decision]:
        """What is to be done now; launches are to be told back by ``launched`` or ``relay_is_gone``."""
        self._decided_at = now
        decisions: list[Decision] = []
        for waiting in list(self._waiting.values()):
            relay = self._relay_with_room(waiting.host)
            if relay is not None:
                del self._waiting[waiting.tid]
                relay.seated.add(waiting.tid)
                self._where[waiting.tid] = relay.number
                decisions.append(Seat(waiting.tid, relay.number))
        decisions += self._launches_needed(now)
        decisions += self._releases(now)
        return decisions

    def _relay_with_room(self, host: str) -> _Relay | None:
        fitting = (relay for relay in self._relays.values() if not self._is_by_host or relay.host == host)
        return next((relay for relay in fitting if len(relay.seated) < relay.slots), None)

    def take_spare(self, now: float) -> list[int]:
        """Relays under way that nobody has waited for during a moment; they are awaited no more.

        Only where each has room for one slave, and the engine chooses the hosts.
        """
        count = self._awaited("") - len(self._waiting)
        if count <= 0:
            self._spare_since = None
            return []
        self._spare_since = now if self._spare_since is None else self._spare_since
        if now < self._spare_since + PATIENCE_S:
            return []
        self._spare_since = None
        spare = [number for launch in reversed(self._launches) for number in sorted(launch.numbers, reverse=True)]
        for number in spare[:count]:
            self._await_no_more(number)
        return spare[:count]

    def _await_no_more(self, number: int) -> None:
        launch = self._launch_of(number)
        assert launch is not None
        launch.numbers.discard(number)
        launch.slots -= 1
        if not launch.numbers:
            self._launches.remove(launch)

    def _launches_needed(self, now: float) -> list[Launch]:
        if self._is_by_host:
            hosts = dict.fromkeys(waiting.host for waiting in self._waiting.values())
            return [Launch(1, host) for host in hosts if not self._awaited(host)]
        missing = [waiting for waiting in self._waiting.values() if self._is_pressing(waiting, now)]
        count = len(missing) - self._awaited("")
        return [Launch(count, "")] if count > 0 else []

    def _is_pressing(self, waiting: _Waiting, now: float) -> bool:
        """Whether a place of another slave, which perhaps just leaves, need not be waited for any longer."""
        is_all_empty = not any(relay.seated for relay in self._relays.values())
        return is_all_empty or now >= waiting.since + PATIENCE_S

    def _releases(self, now: float) -> list[Release]:
        return [
            Release(relay.number)
            for relay in self._relays.values()
            if not relay.seated and (relay.slots <= 0 or now >= relay.idle_since + _IDLE_S)
        ]
