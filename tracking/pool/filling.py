"""Which places get a new slave, and when; which hosts get none any more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from tracking.core.places import HostRecord, LeaveOut, Replace
from tracking.pool.loop import Loop
from tracking.pool.slaves import Place, Slave

Verdicts = dict[str, Replace | LeaveOut]
"""{host: what was decided} for slaves that ended together: as likely as not for one reason, which counts once."""


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
        self.left_out: dict[str, str] = {}  # host -> why

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

    def job_was_done(self, host: str) -> None:
        """A slave on this host has done a job."""
        self.record(host).job_was_done()

    def slave_died(self, slave: Slave, how: str, last_lines: str, verdicts: Verdicts) -> None:
        """A slave has ended without being asked to: another takes its place, if that makes sense."""
        if not slave.is_up:
            self._start_failed(slave.place, how, last_lines)
            return
        host = slave.place.host
        verdict = verdicts.get(host)
        if verdict is None:
            verdict = verdicts[host] = self.record(host).slave_died(
                self._loop.clock(), how, was_up=True, did_jobs=slave.did_jobs
            )
        self._act_on(verdict, slave.place, last_lines)

    def fill(self, place: Place) -> bool:
        """Start a slave at this place; if that fails, later. False: there is no hope for its host."""
        if place.host in self.left_out:
            return False
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
        self._act_on(verdict, place, last_lines)

    def _act_on(self, verdict: Replace | LeaveOut, place: Place, last_lines: str) -> None:
        if isinstance(verdict, LeaveOut):
            self._leave_out(verdict, last_lines)
        elif verdict.delay_s:
            self._fill_later(place, verdict.delay_s)
        else:
            self.fill(place)

    def _fill_later(self, place: Place, delay_s: float) -> None:
        if place.host in self.left_out:
            return
        self._waiting[place.host] += 1

        def fill() -> None:
            if place.host not in self.left_out:
                self._waiting[place.host] -= 1
                self.fill(place)
                self._tell()

        self._loop.after(delay_s, fill)

    def _leave_out(self, verdict: LeaveOut, last_lines: str) -> None:
        words = f" Its last lines: {last_lines.strip()}" if last_lines.strip() else ""
        self.left_out.setdefault(verdict.host, f"{verdict.host}: {verdict.reason}.{words}")
        self._waiting.pop(verdict.host, None)
        self._tell()
