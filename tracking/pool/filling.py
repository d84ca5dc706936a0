"""Which places get a new slave, and when; which hosts get one at a time only, or none any more.

::

    fill(place) ----------------------------+--> start --> (could not, or it never came up) --+
    slave_died, host_was_lost --> HostRecord: when?              a while later, as long as    |
                      |         on probation^  trial over        there is hope <--------------+
                      |              held places, one of them on trial
                      +--> left out: no slave any more
    slave_died of a job that is to blame itself --> fill(place), and nothing is noted

Attributes: a host's places that wait, for a timer or behind the one on trial, are counted in _waiting; those that
wait behind it are also in _held. A host is on probation as long as it is in _held.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple

from tracking.core.places import UNREACHABLE_S, HostRecord, LeaveOut, Replace, was
from tracking.pool.loop import Loop
from tracking.pool.slaves import Place, Slave

Verdicts = dict[str, Replace | LeaveOut]
"""{host: what was decided} for slaves that ended together: as likely as not for one reason, which counts once."""

LEFT_OUT = "left out"
ON_PROBATION = "on probation"
WAITING = "waiting"


class HostTrouble(NamedTuple):
    """Why a host has fewer slaves than it should.

    Attributes:
        host: its name.
        state: 'left out': it gets no slave any more; 'on probation': one at a time, until one has done a job;
            'waiting': a slave did not come up, another is tried in a while.
        reason: what happened there, in words.
        next_try: when the next slave is started, on the crew's clock; None: that depends on others, or never.
    """

    host: str
    state: str
    reason: str
    next_try: float | None


class Vacancies:
    """The places that wait for a slave. Everything is called under the crew's lock.

    Args:
        loop: has the clock and the timers.
        start: starts a slave at a place, or raises OSError.
        tell: called when there may be less hope than before.
        host_failures: so many deaths without a job done between them, and a host is left out; None: never.
    """

    def __init__(
        self,
        loop: Loop,
        start: Callable[[Place], object],
        tell: Callable[[], None],
        host_failures: int | None,
    ) -> None:
        self._loop = loop
        self._start = start
        self._tell = tell
        self._host_failures = host_failures
        self._records: dict[str, HostRecord] = {}
        self._waiting: Counter[str] = Counter()  # host -> places there that wait for a slave
        self._next_try: dict[str, float] = {}  # host -> when, after the last slave that did not come up there
        self._delayed: dict[int, Place] = {}  # by id: places that wait for a timer
        self._held: dict[str, deque[Place]] = {}  # host on probation -> places that wait until it is over
        self._on_trial: dict[str, Place] = {}  # host on probation -> the place that has a slave, or is to have one
        self._reasons: dict[str, str] = {}  # host -> what happened there last
        self._eras: Counter[str] = Counter()  # host -> how often all that waited there was given up: so do its timers
        self.left_out: dict[str, str] = {}  # host -> why
        self.when_given_up: Callable[[str, str], None] = lambda host, why: None
        """Called with a host that is left out after all, and why."""
        self._removed: set[str] = set()  # hosts, by the user
        self._is_closed = False

    def close(self) -> None:
        """No place is filled any more."""
        self._is_closed = True

    @property
    def are_none(self) -> bool:
        """Whether no slave will come any more."""
        return not self._waiting.total()

    def record(self, host: str) -> HostRecord:
        """How slaves fare on this host."""
        found = self._records.get(host)
        if found is None:
            found = self._records[host] = HostRecord(host, self._host_failures)
        return found

    def trouble(self) -> tuple[HostTrouble, ...]:
        """The hosts that have fewer slaves than they should."""
        found = [HostTrouble(host, LEFT_OUT, reason, None) for host, reason in self.left_out.items()]
        now = self._loop.clock()
        for host, count in self._waiting.items():
            if count:
                state = ON_PROBATION if host in self._held else WAITING
                next_try = self._next_try.get(host)
                found.append(
                    HostTrouble(
                        host, state, self._reasons.get(host, ""), next_try if next_try and next_try > now else None
                    )
                )
        return tuple(found)

    # ---- what happens

    def slave_is_up(self, host: str) -> None:
        """A slave on this host has come up."""
        self.record(host).slave_is_up()
        if host not in self._held:
            self._next_try.pop(host, None)  # what was said of that is of old

    def job_was_done(self, host: str) -> None:
        """A slave on this host has done a job."""
        self.record(host).job_was_done()
        if self._held:
            self._end_probation(host)

    def slave_died(
        self, slave: Slave, how: str, last_lines: str, verdicts: Verdicts, *, is_innocent: bool = False
    ) -> None:
        """A slave has ended without being asked to: another takes its place, if that makes sense.

        ``is_innocent``: what ended is its host, its line or its time in a queue.
        """
        if slave.place.is_removed:
            return
        if is_innocent:
            self._host_was_lost(slave, how, last_lines)
            return
        if not slave.is_up:
            self._start_failed(slave.place, how, last_lines)
            return
        if slave.is_excused:
            self.fill(slave.place)
            return
        host = slave.place.host
        verdict = verdicts.get(host)
        if verdict is None:
            verdict = verdicts[host] = self.record(host).slave_died(
                self._loop.clock(), how, was_up=True, did_jobs=slave.did_jobs
            )
        self._act_on(verdict, slave.place, last_lines)

    def why_none(self) -> str:
        """Why there are no slaves, and none will come."""
        reasons = [f"{host}: {reason}" for host, reason in self.left_out.items()]
        reasons += [f"{host}: it was removed" for host in sorted(self._removed)]
        return "; ".join(reasons) or "it has no slaves"

    # ---- what the user wants

    def strike_out(self, place: Place) -> bool:
        """Have no slave at this place any more. False: it is on trial, and others wait for what comes of that."""
        if self._on_trial.get(place.host) is place:
            return False
        place.is_removed = True
        held = self._held.get(place.host, deque())
        if self._delayed.pop(id(place), None) is not None:
            self._waiting[place.host] -= 1
        elif any(other is place for other in held):
            self._held[place.host] = deque(other for other in held if other is not place)
            self._waiting[place.host] -= 1
        return True

    def leave_out(self, host: str, reason: str) -> None:
        """Start no slave on this host: it is known that it cannot work."""
        self._give_up(host)
        self.left_out.setdefault(host, reason)

    def remove(self, host: str) -> None:
        """The user does not want this host any more, whatever can be said of it."""
        self._give_up(host)
        self.left_out.pop(host, None)
        self._records.pop(host, None)
        self._removed.add(host)

    def trust(self, host: str) -> None:
        """The user wants slaves on this host: if it was left out or removed, all that is forgotten."""
        if host in self.left_out or host in self._removed:
            self.remove(host)
            self._removed.discard(host)

    def _give_up(self, host: str) -> None:
        """Nobody waits for a slave there any more."""
        self._eras[host] += 1
        self._delayed = {key: place for key, place in self._delayed.items() if place.host != host}
        for waiting in (self._waiting, self._held, self._on_trial, self._next_try, self._reasons):
            waiting.pop(host, None)

    # ---- what is decided

    def fill(self, place: Place) -> bool:
        """Start a slave at this place; if that fails, later. False: there is no hope for its host."""
        if self._is_closed or place.is_removed or place.host in self.left_out:
            return False
        if self._must_wait_for_trial(place):
            self._hold(place)
            return True
        try:
            self._start(place)
        except OSError as error:
            self._start_failed(place, f"could not be started: {error}", "")
        return place.host not in self.left_out

    def _start_failed(self, place: Place, how: str, last_lines: str) -> None:
        """It did not come up. Until the next try on its host, others that do not either tell nothing new."""
        now = self._loop.clock()
        next_try = self._next_try.get(place.host, now)
        if now < next_try:
            self._fill_later(place, next_try - now)
            return
        verdict = self.record(place.host).slave_died(now, how, was_up=False, did_jobs=False)
        if isinstance(verdict, Replace):
            self._next_try[place.host] = now + verdict.delay_s
            self._reasons[place.host] = f"the last slave {was(how)}"
        self._act_on(verdict, place, last_lines)

    def _host_was_lost(self, slave: Slave, how: str, last_lines: str) -> None:
        """Its place waits until the host is tried again; all that was lost there until then counts once."""
        place, now = slave.place, self._loop.clock()
        next_try = self._next_try.get(place.host, now)
        if now < next_try:
            self._fill_later(place, next_try - now)
            return
        verdict = self.record(place.host).host_was_lost(now, how, was_up=slave.is_up)
        if isinstance(verdict, Replace):
            self._next_try[place.host] = now + verdict.delay_s
            end = f"left out when none has come up for {UNREACHABLE_S / 60:g} min"
            self._reasons[place.host] = f"the last slave {was(how)} ({end})"
        self._act_on(verdict, place, last_lines)

    def _act_on(self, verdict: Replace | LeaveOut, place: Place, last_lines: str) -> None:
        if isinstance(verdict, LeaveOut):
            self._leave_out(verdict, last_lines)
        elif verdict.is_on_probation:
            self._try_another(verdict, place)
        elif verdict.delay_s:
            self._fill_later(place, verdict.delay_s)
        else:
            self.fill(place)

    def _fill_later(self, place: Place, delay_s: float) -> None:
        if place.is_removed or place.host in self.left_out:
            return
        self._waiting[place.host] += 1
        self._delayed[id(place)] = place
        era = self._eras[place.host]

        def fill() -> None:
            if self._eras[place.host] == era and self._delayed.pop(id(place), None) is not None:
                self._waiting[place.host] -= 1
                self.fill(place)
                self._tell()

        self._loop.after(delay_s, fill)

    def _leave_out(self, verdict: LeaveOut, last_lines: str) -> None:
        words = f" Its last lines: {last_lines.strip()}" if last_lines.strip() else ""
        self.leave_out(verdict.host, f"{verdict.reason}.{words}")
        self.when_given_up(verdict.host, self.left_out[verdict.host])
        self._tell()

    # ---- probation

    def _must_wait_for_trial(self, place: Place) -> bool:
        return place.host in self._held and self._on_trial.get(place.host, place) is not place

    def _hold(self, place: Place) -> None:
        self._held[place.host].append(place)
        self._waiting[place.host] += 1

    def _try_another(self, verdict: Replace, place: Place) -> None:
        """A slave has died on a host in doubt: the next place there is tried, unless one is on trial already."""
        host = place.host
        self._reasons[host] = verdict.reason
        self._held.setdefault(host, deque())
        self._hold(place)
        if self._on_trial.get(host, place) is place:
            following = self._held[host].popleft()
            self._waiting[host] -= 1
            self._on_trial[host] = following
            self._next_try[host] = self._loop.clock() + verdict.delay_s
            self._fill_later(following, verdict.delay_s)

    def _end_probation(self, host: str) -> None:
        """The host works: all its places are filled."""
        self._on_trial.pop(host, None)
        for place in self._held.pop(host, ()):
            self._waiting[host] -= 1
            self.fill(place)
