"""Slaves on relays: the near side of every fabric whose slaves are not children of this machine's starter.

::

    crew --start--> Seating (pure): who goes where ---Launch--> Launcher (ssh, Slurm, ...) --> relays
      ^                |                             <--RelayUp, RelayEnded--+
      |                +--Seat--> RelayLine: "start" --> relay forks the slave
      +--lines: socket pairs <--Pump--> one line to each relay

What a relay has sent is passed on before its slaves are said to have ended. A relay whose line is cut, or that is
silent for ``silence_s``, is lost with all its slaves, who are innocent. Why, its engine is given a moment to say.
"""

from __future__ import annotations

import itertools
import logging
import selectors
import time
from collections.abc import Callable, Iterable, Sequence

from tracking.errors import EngineError
from tracking.fabrics.base import BaseFabric, Condition, News, SlaveConnected, SlaveEnded, SlaveLines, SlaveSpec
from tracking.fabrics.descriptors import Descriptors
from tracking.fabrics.launcher import Launcher, RelayEnded, RelayUp
from tracking.fabrics.local import how_it_ended
from tracking.fabrics.relay_line import Greeting, RelayLine
from tracking.fabrics.seating import Launch, Release, Seat, Seating
from tracking.slave.relay import VERSION
from tracking.wire.mapped import SharedPayload

logger = logging.getLogger("tracking")

_BEATS_IN_SILENCE = 4
_GREETING_S = 30.0
_REASON_S = 2.0  # so long the engine may take to say why a line was cut
_DELIVERY_S = 5.0  # so long what came of a lost relay may wait to be taken
_FAREWELL_S = 5.0
_LOOK_S = 0.5  # how often it is looked whether that time is over
_PENDING_REASON = "ended before it was started"
_LAUNCHER = 0  # among the numbers of relays: what the launcher watches
_relay_numbers = itertools.count(1)  # for the whole program: never given out twice


class RelayedFabric(BaseFabric):
    """Starts slaves on relays, which its launcher brings to life.

    Args:
        launcher: the engine's part.
        clock: seconds, monotonic.

    Attributes:
        recalls_spare: relays under way that are not wanted any more are stopped: an engine that grows with what waits
            in its queue shall not grow for them. Only where each relay has room for one slave.
        names_are_hosts: where relays are by host, slaves are on the host that was named; else where the relay says.
    """

    recalls_spare = False
    names_are_hosts = True

    def __init__(self, launcher: Launcher, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = launcher.name
        self.launcher = launcher
        self._clock = clock
        self._seating = Seating(is_by_host=launcher.is_by_host)
        self._specs: dict[int, SlaveSpec] = {}  # of slaves that have not ended
        self._relays: dict[int, RelayLine] = {}
        self._lost: list[SlaveEnded] = []
        self._preloads: list[str] = []
        self._selector: selectors.DefaultSelector | None = None  # of relays' lines, and all of the launcher
        self._of_launcher: Descriptors | None = None
        self._is_touched = False  # the launcher was told something, and may have other descriptors
        self._is_told = False  # that slaves are wanted, or not wanted any more: decisions are due

    @property
    def start_timeout_s(self) -> float | None:  # type: ignore[override]
        """So long a slave may take to come up, time in a queue included."""
        return self.launcher.start_timeout_s

    # ---- hosts

    def check_host(self, host: str) -> None:
        """Refuse a host name on which nothing can be started; takes milliseconds.

        Raises:
            InputError: names the host and says why.
        """
        self.launcher.check_host(host)

    def hosts_for(self, count: int | None) -> list[str]:
        """The host of each slave where none is named; where the engine chooses them, its own name so often.

        Raises:
            EngineError: the engine is not there, or does not answer.
        """
        return self.launcher.hosts_for(count)

    def check(self, hosts: Sequence[str]) -> dict[str, str]:
        """Try whether slaves can be started there: {host: why they cannot}. Waits for that; bounded."""
        return self.launcher.check(hosts)

    def waiting_for(self) -> str:
        """What slaves that are not up wait for, in the engine's words; "": nothing."""
        return self.launcher.waiting_for()

    # ---- slaves

    def preload(self, modules: Iterable[str]) -> None:
        """Have relays load these modules once, for all slaves to come."""
        new = [module for module in dict.fromkeys(modules) if module not in self._preloads]
        self._preloads += new
        for relay in self._relays.values():
            if new and relay.greeting is not None:
                relay.pump.say(do="preload", modules=new)
                relay.pump.flush()

    def start(self, spec: SlaveSpec) -> SlaveLines | None:
        self._selector_there()
        self._specs[spec.tid] = spec
        self._seating.want(spec.tid, spec.host, self._clock())
        self._is_told = True
        return None

    def stop(self, tid: int) -> None:
        if self._seating.unwant(tid):
            self._specs.pop(tid, None)
            self._lost.append(SlaveEnded(tid, _PENDING_REASON))
            return
        relay = self._relay_of(tid)
        if relay is not None:
            relay.pump.say(do="stop", tid=tid)
            relay.pump.flush()

    def look_at(self, tid: int) -> Condition:
        """What its relay saw of a slave when it was last asked."""
        relay = self._relay_of(tid)
        return Condition.UNKNOWN if relay is None else relay.look_at(tid)

    def can_lend(self, tid: int) -> bool:
        """Slaves of one relay can share memory, where their system has that."""
        relay = self._relay_of(tid)
        return relay is not None and relay.can_lend

    def lend(self, tid: int, shared: SharedPayload) -> bool:
        """The relay of this slave gets it once; what the slave is sent meanwhile waits for that."""
        relay = self._relay_of(tid)
        if relay is None or not relay.can_lend:
            return False
        return relay.lent.lend(tid, shared, [other.lent for other in self._relays.values() if other.is_beside(relay)])

    def take_back(self, shared: SharedPayload) -> None:
        """Relays let go of it."""
        for relay in self._relays.values():
            relay.lent.take_back(shared)

    def _relay_of(self, tid: int) -> RelayLine | None:
        return self._relays.get(self._seating.relay_of(tid) or 0)

    # ---- news

    def descriptors(self) -> Iterable[int]:
        return [] if self._selector is None else [self._selector.fileno()]

    def poll_within_s(self) -> float | None:
        if self._is_told or self._lost or any(relay.pump.has_more for relay in self._relays.values()):
            return 0.0
        times = [self.launcher.poll_within_s(), self._seating.next_decision(self._clock())]
        if self._relays:
            times.append(min(self.launcher.silence_s, self.launcher.master_silence_s) / _BEATS_IN_SILENCE)
        if any(relay.lost_at is not None or relay.has_ends for relay in self._relays.values()):
            times.append(_LOOK_S)
        return min((s for s in times if s is not None), default=None)

    def poll(self) -> list[News]:
        news: list[News] = []
        self._is_told = False
        ready = set() if self._selector is None else {key.data for key, _ in self._selector.select(0)}
        for relay in list(self._relays.values()):
            if relay.pump.has_more or relay.number in ready:
                self._turn(relay)
            self._see_to(relay, news)
        is_due = _LAUNCHER in ready or self.launcher.poll_within_s() == 0.0
        events = self.launcher.poll()
        for event in events:
            if isinstance(event, RelayUp):
                self._is_up(event)
            else:
                self._has_ended(event)
        self._carry_out(news)
        if self._of_launcher is not None:
            are_same = not (is_due or events or self._is_touched)
            self._of_launcher.update(self.launcher.descriptors(), are_same=are_same)
            self._is_touched = False
        lost, self._lost = self._lost, []
        return news + lost

    def _turn(self, relay: RelayLine) -> None:
        was_greeted = relay.greeting is not None
        relay.pump.turn()
        if relay.greeting is not None and not was_greeted and relay.lost_at is None:
            self._greeted(relay, relay.greeting)

    def _see_to(self, relay: RelayLine, news: list[News]) -> None:
        for tid, status in relay.ends(_DELIVERY_S):
            news += self._slave_ended(relay, tid, status)
        relay.pump.beat_if_due(self.launcher.master_silence_s / _BEATS_IN_SILENCE)
        if relay.lost_at is None:
            self._look_whether_lost(relay)
        elif self._is_time_to_lose(relay):
            self._lose(relay)

    def _is_time_to_lose(self, relay: RelayLine) -> bool:
        """The engine has said what it knows, and all that came before is delivered; or it takes too long."""
        lost_s = self._clock() - (relay.lost_at or 0.0)
        if lost_s > _DELIVERY_S:
            return True
        is_explained = relay.is_explained or lost_s > _REASON_S
        is_over = relay.is_cut or bool(relay.pump.fault) or lost_s > _REASON_S  # nothing more comes over its line
        return is_explained and is_over and all(relay.is_delivered(tid) for tid in relay.tids)

    def _slave_ended(self, relay: RelayLine, tid: int, status: int | str) -> list[SlaveEnded]:
        relay.forget(tid)
        self._seating.slave_has_ended(tid, self._clock(), is_well=status == 0)
        if self._specs.pop(tid, None) is None:
            return []
        return [SlaveEnded(tid, how_it_ended(status) if isinstance(status, int) else status)]

    def _greeted(self, relay: RelayLine, greeting: Greeting) -> None:
        if greeting.version != VERSION:
            self._cut(relay, "it runs another release of this package: install the same on all hosts")
            return
        for number in self._seating.relay_is_up(relay.number, greeting.slots, self._clock(), greeting.left_s):
            self._stop(number)
        if self._preloads:
            relay.pump.say(do="preload", modules=self._preloads)

    # ---- relays

    def _is_up(self, event: RelayUp) -> None:
        if event.number in self._relays or not self._seating.is_awaited(event.number):
            event.carrier.close()
            if event.number not in self._relays:
                self._stop(event.number)
            return
        beat_s = self.launcher.silence_s / _BEATS_IN_SILENCE
        try:
            relay = RelayLine(event.number, event.carrier, beat_s, self._clock)
            self._selector_there().register(relay.pump, selectors.EVENT_READ, event.number)
        except OSError as error:
            event.carrier.close()
            self._stop(event.number)
            self._gone(event.number, f"its line cannot be used: {error.strerror}")
            return
        self._relays[event.number] = relay
        self._is_told = True  # what it has said already is read

    def _has_ended(self, event: RelayEnded) -> None:
        relay = self._relays.get(event.number)
        if relay is None:
            self._gone(event.number, event.how, event.printed)
            return
        relay.reason, relay.is_explained = event.how, True
        self._is_lost(relay)
        self._is_told = True  # the last that it has sent is taken in, and then it is lost

    def _look_whether_lost(self, relay: RelayLine) -> None:
        if relay.pump.fault:
            self._cut(relay, relay.pump.fault)
        elif relay.greeting is None:  # it may be loading yet
            if self._clock() - relay.since > _GREETING_S:
                self._cut(relay, f"it has not said who it is within {_GREETING_S:g} s")
        elif relay.is_silent(self.launcher.silence_s):
            self._cut(relay, f"it was not heard for {self.launcher.silence_s:g} s")

    def _cut(self, relay: RelayLine, why: str) -> None:
        """It is of no more use; why exactly, the engine may know."""
        relay.is_cut, relay.reason = True, f"lost with its host ({relay.pump.carrier.name}): {why}"
        self._is_lost(relay)
        self._is_touched = True
        self.launcher.line_is_cut(relay.number)

    def _is_lost(self, relay: RelayLine) -> None:
        """From now on no slave is seated there."""
        if relay.lost_at is None:
            relay.lost_at = self._clock()
            self._seating.relay_is_full(relay.number)

    def _lose(self, relay: RelayLine) -> None:
        for tid, status in relay.ends(-1.0):
            self._lost += self._slave_ended(relay, tid, status)
        del self._relays[relay.number]
        relay.lent.is_lost()
        self._selector_there().unregister(relay.pump)
        self._gone(relay.number, relay.reason)
        for tid in list(relay.tids):
            relay.forget(tid)
        relay.close()
        self._stop(relay.number)

    def _stop(self, number: int) -> None:
        self._is_touched = True
        self.launcher.stop(number)

    def _gone(self, number: int, how: str, printed: bytes = b"") -> None:
        for tid in self._seating.relay_is_gone(number):
            if self._specs.pop(tid, None) is not None:
                self._lost.append(SlaveEnded(tid, how, printed, is_innocent=True))

    # ---- decisions

    def _carry_out(self, news: list[News]) -> None:
        for decision in self._seating.decide(self._clock()):
            if isinstance(decision, Seat):
                news += self._seat(decision)
            elif isinstance(decision, Launch):
                self._launch(decision)
            else:
                self._release(decision)
        for number in self._seating.take_spare(self._clock()) if self.recalls_spare else ():
            self.launcher.stop(number)
        for relay in self._relays.values():
            relay.pump.flush()

    def _seat(self, seat: Seat) -> list[News]:
        relay, spec = self._relays[seat.relay], self._specs[seat.tid]
        try:
            lines = relay.start(spec)
        except OSError as error:  # too many open files
            self._seating.slave_has_ended(seat.tid, self._clock(), is_well=False)
            del self._specs[seat.tid]
            return [SlaveEnded(seat.tid, f"could not be started: {error.strerror}")]
        host = "" if self.launcher.is_by_host and self.names_are_hosts else relay.host
        return [SlaveConnected(seat.tid, lines, host, self._seating.left_s(seat.relay, self._clock()))]

    def _launch(self, launch: Launch) -> None:
        numbers = [next(_relay_numbers) for _ in range(launch.slots)]
        self._seating.launched(numbers, launch.host)
        self._is_touched = True
        try:
            self.launcher.launch(numbers, launch.host)
        except (OSError, EngineError) as error:
            logger.debug("relays could not be launched", exc_info=True)
            for number in numbers:
                self._gone(number, f"could not be started: {error}")

    def _release(self, release: Release) -> None:
        relay = self._relays.get(release.relay)
        if relay is not None and not relay.tids:
            relay.pump.say(do="end")
            relay.pump.flush()
            relay.reason = "not needed any more"
            self._lose(relay)

    # ---- what is watched

    def _selector_there(self) -> selectors.DefaultSelector:
        if self._selector is None or self._of_launcher is None:
            selector = selectors.DefaultSelector()
            try:
                self._of_launcher = Descriptors(self._clock)
            except OSError:
                selector.close()
                raise
            selector.register(self._of_launcher, selectors.EVENT_READ, _LAUNCHER)
            self._selector = selector
        return self._selector

    # ---- the end

    def close(self) -> None:
        """End all slaves and relays, and wait for their farewell; bounded."""
        for relay in self._relays.values():
            relay.pump.say(do="end")
            relay.pump.flush()
        end = self._clock() + _FAREWELL_S
        for relay in self._relays.values():
            relay.wait_for_end(end)
            relay.close()
        self._relays.clear()
        self._specs.clear()
        self._lost.clear()
        self._seating = Seating(is_by_host=self.launcher.is_by_host)
        self.launcher.close()
        for watched in (self._selector, self._of_launcher):
            if watched is not None:
                watched.close()
        self._selector = self._of_launcher = None
