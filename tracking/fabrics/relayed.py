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

import contextlib
import itertools
import logging
import os
import selectors
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tracking.errors import EngineError
from tracking.fabrics.base import BaseFabric, Condition, News, SlaveConnected, SlaveEnded, SlaveLines, SlaveSpec
from tracking.fabrics.launcher import Launcher, RelayEnded, RelayUp
from tracking.fabrics.local import how_it_ended
from tracking.fabrics.seating import Launch, Release, Seat, Seating
from tracking.slave.looks import Looks
from tracking.slave.relay import VERSION, streams_of
from tracking.wire.carriers import Carrier
from tracking.wire.channel import Channel
from tracking.wire.pump import Pump

logger = logging.getLogger("tracking")

_BEATS_IN_SILENCE = 4
_GREETING_S = 30.0
_REASON_S = 2.0  # so long the engine may take to say why a line was cut
_DELIVERY_S = 5.0  # so long what came of a lost relay may wait to be taken
_FAREWELL_S = 5.0
_PENDING_REASON = "ended before it was started"
_relay_numbers = itertools.count(1)  # for the whole program: never given out twice


class RelayLine:
    """A relay whose line is there: what it says, and the slaves on it.

    Args:
        number, carrier: which relay, and its line.
        beat_s: each end gives a sign of life so often.
        clock: seconds, monotonic.

    Attributes:
        greeting: what the relay said of itself; empty until then.
        ended: {tid: wait status, or why it was not started} of slaves whose end is not told yet.
        lost_at: when the line was found to be of no more use; None: it is well.
        reason: why.
        is_explained: the engine has said why.
    """

    def __init__(self, number: int, carrier: Carrier, beat_s: float, clock: Callable[[], float]) -> None:
        self.number = number
        self.greeting: dict[str, Any] = {}
        self.ended: dict[int, int | str] = {}
        self.tids: set[int] = set()
        self.lost_at: float | None = None
        self.reason = ""
        self.is_explained = False
        self.since = self._judged_at = clock()
        self._clock = clock
        self._looks = Looks()
        self._conditions: dict[int, Condition] = {}
        self.pump = Pump(carrier, self._heard, clock)
        self.pump.say(do="begin", beat_s=beat_s)
        self.pump.flush()

    @property
    def host(self) -> str:
        """Where it is."""
        return str(self.greeting.get("host", ""))

    def _heard(self, news: dict[str, Any]) -> None:
        what = news.get("is")
        if what == "up":
            self.greeting = news
        elif what == "ended":
            self.ended[news["tid"]] = news["status"]
        elif what == "not_forked":
            self.ended[news["tid"]] = news["why"]
        elif what == "seen" and news["tid"] in self.tids:
            self._conditions[news["tid"]] = self._looks.judge(news["tid"], news["state"], news["ticks"])

    def start(self, spec: SlaveSpec) -> SlaveLines:
        """Have a slave started; its lines."""
        near_job, job = socket.socketpair()
        near_control, control = socket.socketpair()
        near_output, output = os.pipe()
        lines = SlaveLines(Channel(near_job), Channel(near_control), near_output)
        self.tids.add(spec.tid)
        ends = (job.detach(), control.detach(), output)
        for descriptor in (near_output, *ends):
            os.set_blocking(descriptor, False)
        for stream, descriptor, is_read in zip(streams_of(spec.tid), ends, (True, True, False), strict=True):
            self.pump.attach(stream, descriptor, is_read=is_read)
        self.pump.say(
            do="start", tid=spec.tid, nickname=spec.nickname, host=spec.host, niceness=spec.niceness,
            memory_limit=spec.memory_limit,
        )  # fmt: skip
        return lines

    def look_at(self, tid: int) -> Condition:
        """What was seen of a slave when it was last asked for; the next answer is asked for."""
        self.pump.say(do="look", tid=tid)
        self.pump.flush()
        return self._conditions.get(tid, Condition.UNKNOWN)

    def forget(self, tid: int) -> None:
        """A slave has ended, and all that it has sent is delivered."""
        self.tids.discard(tid)
        self.ended.pop(tid, None)
        self._conditions.pop(tid, None)
        self._looks.forget(tid)
        for stream in streams_of(tid):
            self.pump.detach(stream)

    def is_delivered(self, tid: int) -> bool:
        """Whether all that came of a slave was taken."""
        return all(self.pump.is_delivered(stream) for stream in streams_of(tid))

    def is_silent(self, silence_s: float) -> bool:
        """Whether it was not heard for so long; what came while we were away ourselves is read first."""
        now = self._clock()
        away_s, self._judged_at = now - self._judged_at, now
        if away_s > silence_s / 2:
            self.pump.heard_at = max(self.pump.heard_at, now - silence_s / 2)
        return now - self.pump.heard_at > silence_s

    def close(self) -> None:
        """Let go of the line and of its slaves' lines."""
        self.pump.close()


class RelayedFabric(BaseFabric):
    """Starts slaves on relays, which its launcher brings to life.

    Args:
        launcher: the engine's part.
        clock: seconds, monotonic.
    """

    def __init__(self, launcher: Launcher, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = launcher.name
        self.launcher = launcher
        self._clock = clock
        self._seating = Seating(is_by_host=launcher.is_by_host)
        self._specs: dict[int, SlaveSpec] = {}  # of slaves that have not ended
        self._relays: dict[int, RelayLine] = {}
        self._lost: list[SlaveEnded] = []
        self._preloads: list[str] = []
        self._selector: selectors.DefaultSelector | None = None
        self._watched: set[int] = set()
        self._is_told = False  # that slaves are wanted, or not wanted any more: decisions are due

    @property
    def start_timeout_s(self) -> float | None:  # type: ignore[override]
        """So long a slave may take to come up, time in a queue included."""
        return self.launcher.start_timeout_s

    # ---- hosts

    def check_host(self, host: str) -> None:
        self.launcher.check_host(host)

    def hosts_for(self, count: int | None) -> list[str]:
        return self.launcher.hosts_for(count)

    def check(self, hosts: Sequence[str]) -> dict[str, str]:
        return self.launcher.check(hosts)

    def waiting_for(self) -> str:
        return self.launcher.waiting_for()

    # ---- slaves

    def preload(self, modules: Iterable[str]) -> None:
        self._preloads += [module for module in modules if module not in self._preloads]

    def start(self, spec: SlaveSpec) -> SlaveLines | None:
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
        relay = self._relay_of(tid)
        return Condition.UNKNOWN if relay is None else relay.look_at(tid)

    def _relay_of(self, tid: int) -> RelayLine | None:
        return self._relays.get(self._seating.relay_of(tid) or 0)

    # ---- news

    def descriptors(self) -> Iterable[int]:
        return [] if self._selector is None else [self._selector.fileno()]

    def poll_within_s(self) -> float | None:
        if self._is_told or self._lost or any(relay.pump.has_more or relay.ended for relay in self._relays.values()):
            return 0.0
        times = [self.launcher.poll_within_s(), self._seating.next_decision(self._clock())]
        if self._relays:
            times.append(min(self.launcher.silence_s, self.launcher.master_silence_s) / _BEATS_IN_SILENCE)
        return min((s for s in times if s is not None), default=None)

    def poll(self) -> list[News]:
        news: list[News] = []
        self._is_told = False
        for relay in list(self._relays.values()):
            self._turn(relay, news)
        for event in self.launcher.poll():
            if isinstance(event, RelayUp):
                self._is_up(event)
            else:
                self._has_ended(event)
        self._carry_out(news)
        self._watch()
        lost, self._lost = self._lost, []
        return news + lost

    def _turn(self, relay: RelayLine, news: list[News]) -> None:
        was_greeted = bool(relay.greeting)
        relay.pump.turn()
        if relay.greeting and not was_greeted:
            self._greeted(relay)
        for tid, status in list(relay.ended.items()):
            if relay.is_delivered(tid):
                news += self._slave_ended(relay, tid, status)
        relay.pump.beat_if_due(self.launcher.master_silence_s / _BEATS_IN_SILENCE)
        if relay.lost_at is None:
            self._look_whether_lost(relay)
        elif self._is_time_to_lose(relay):
            self._lose(relay)

    def _is_time_to_lose(self, relay: RelayLine) -> bool:
        """The engine has said what it knows, and all that came before is delivered; or it takes too long."""
        lost_s = self._clock() - (relay.lost_at or 0.0)
        if not relay.is_explained and lost_s <= _REASON_S:
            return False
        return all(relay.is_delivered(tid) for tid in relay.tids) or lost_s > _DELIVERY_S

    def _slave_ended(self, relay: RelayLine, tid: int, status: int | str) -> list[News]:
        relay.forget(tid)
        self._seating.slave_has_ended(tid, self._clock(), is_well=status == 0)
        if self._specs.pop(tid, None) is None:
            return []
        return [SlaveEnded(tid, how_it_ended(status) if isinstance(status, int) else status)]

    def _greeted(self, relay: RelayLine) -> None:
        greeting = relay.greeting
        if greeting.get("version") != VERSION:
            self._cut(relay, "it runs another release of this package: install the same on all hosts")
            return
        left_s = greeting["left_s"]
        for number in self._seating.relay_is_up(relay.number, greeting["slots"], self._clock(), left_s):
            self.launcher.stop(number)
        if self._preloads:
            relay.pump.say(do="preload", modules=self._preloads)

    # ---- relays

    def _is_up(self, event: RelayUp) -> None:
        if not self._seating.is_awaited(event.number):
            event.carrier.close()
            self.launcher.stop(event.number)
            return
        beat_s = self.launcher.silence_s / _BEATS_IN_SILENCE
        relay = self._relays[event.number] = RelayLine(event.number, event.carrier, beat_s, self._clock)
        self._selector_there().register(relay.pump, selectors.EVENT_READ)

    def _has_ended(self, event: RelayEnded) -> None:
        relay = self._relays.get(event.number)
        if relay is None:
            self._gone(event.number, event.how, event.printed)
            return
        relay.reason, relay.is_explained = event.how, True
        relay.lost_at = self._clock() if relay.lost_at is None else relay.lost_at
        self._is_told = True  # the last that it has sent is taken in, and then it is lost

    def _look_whether_lost(self, relay: RelayLine) -> None:
        if relay.pump.fault:
            self._cut(relay, relay.pump.fault)
        elif relay.is_silent(self.launcher.silence_s):
            self._cut(relay, f"it was not heard for {self.launcher.silence_s:g} s")
        elif not relay.greeting and self._clock() - relay.since > _GREETING_S:
            self._cut(relay, f"it has not said who it is within {_GREETING_S:g} s")

    def _cut(self, relay: RelayLine, why: str) -> None:
        """It is of no more use; why exactly, the engine may know."""
        relay.lost_at, relay.reason = self._clock(), f"lost with its host ({relay.pump.carrier.name}): {why}"
        self.launcher.line_is_cut(relay.number)

    def _lose(self, relay: RelayLine) -> None:
        for tid, status in list(relay.ended.items()):
            self._lost += self._slave_ended(relay, tid, status)  # type: ignore[arg-type]
        del self._relays[relay.number]
        self._selector_there().unregister(relay.pump)
        tids = list(relay.tids)
        self._gone(relay.number, relay.reason)
        for tid in tids:
            relay.forget(tid)
        relay.close()
        self.launcher.stop(relay.number)

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
        host = "" if self.launcher.is_by_host else relay.host
        return [SlaveConnected(seat.tid, lines, host, self._seating.left_s(seat.relay, self._clock()))]

    def _launch(self, launch: Launch) -> None:
        numbers = [next(_relay_numbers) for _ in range(launch.slots)]
        self._seating.launched(numbers, launch.host)
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
        if self._selector is None:
            self._selector = selectors.DefaultSelector()
        return self._selector

    def _watch(self) -> None:
        """The launcher's descriptors may be others than before, also where the numbers are the same."""
        selector, now = self._selector_there(), set(self.launcher.descriptors())
        for descriptor in self._watched:
            with contextlib.suppress(KeyError, ValueError):
                selector.unregister(descriptor)
        for descriptor in now:
            selector.register(descriptor, selectors.EVENT_READ)
        self._watched = now

    # ---- the end

    def close(self) -> None:
        """End all slaves and relays, and wait for their farewell; bounded."""
        for relay in self._relays.values():
            relay.pump.say(do="end")
            relay.pump.flush()
        end = self._clock() + _FAREWELL_S
        for relay in self._relays.values():
            while not relay.pump.fault and (left_s := end - self._clock()) > 0 and not relay.lost_at:
                relay.pump.turn(left_s)
            relay.close()
        self._relays.clear()
        self._specs.clear()
        self._lost.clear()
        self._seating = Seating(is_by_host=self.launcher.is_by_host)
        self.launcher.close()
        if self._selector is not None:
            self._selector.close()
            self._selector = None
        self._watched = set()
