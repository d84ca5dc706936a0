"""When a slave that died is replaced, and when its host is given up. Pure: told the time, remembers, decides.

A host on which slaves keep dying is first put on probation, then left out::

    deaths without a job done between them   1 ... half the bound    ... the bound
    what is decided                          Replace   Replace(on    LeaveOut
                                                       probation)

On probation: of the places there that wait for a slave only one gets one at a time; the others go on waiting
(with no timer of their own), and those slaves that live go on. When that slave dies the next place is tried, after the
delay of the new verdict; when any slave there has done a job (``job_was_done`` says True) all of them are
filled at once.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 10.0
_MOST_DOUBLINGS = 10  # any number that leads beyond the longest delay
_FAILED_STARTS = 3
_FAILURE_WINDOW_S = 600.0


@dataclass(frozen=True, slots=True)
class Replace:
    """Start a new slave at this place, ``delay_s`` from now.

    Attributes:
        delay_s: so long to wait.
        is_on_probation: one slave at a time is started on this host until one has done a job.
        reason: why it is on probation, in words; "" if it is not.
    """

    delay_s: float
    is_on_probation: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LeaveOut:
    """Start no more slaves on this host, for this reason."""

    host: str
    reason: str


@dataclass(slots=True)
class HostRecord:
    """How slaves on one host have fared lately.

    Args:
        host: its name.
        most_failures: so many deaths within 10 minutes, without a job done between them, and the host is
            left out, half as many, and it is on probation; None: never.
    """

    host: str
    most_failures: int | None = 10
    failed_starts: int = 0  # in a row: slaves that ended before they were up
    deaths: deque[float] = field(default_factory=deque)  # when, since the last job done

    def slave_is_up(self) -> None:
        """A slave has come up."""
        self.failed_starts = 0

    @property
    def is_on_probation(self) -> bool:
        """Whether one slave at a time is to be started here."""
        return self.most_failures is not None and len(self.deaths) >= max(1, self.most_failures // 2)

    def job_was_done(self) -> bool:
        """A slave here has done a job: whatever went wrong before, the host works. True: that ends its probation."""
        if not self.deaths:
            return False
        was_on_probation = self.is_on_probation
        self.deaths.clear()
        return was_on_probation

    def slave_died(self, now: float, how: str, *, was_up: bool, did_jobs: bool) -> Replace | LeaveOut:
        """A slave has ended without being asked to.

        Args:
            now: seconds on any clock.
            how: in words.
            was_up: it had come up before.
            did_jobs: it had done at least one job.
        """
        if not was_up:
            self.failed_starts += 1
            if self.failed_starts >= _FAILED_STARTS:
                reason = f"{self.failed_starts} slaves in a row ended before they were up; the last {how}"
                return LeaveOut(self.host, reason)
            return Replace(_doubled(self.failed_starts))
        self.deaths.append(now)
        while self.deaths and self.deaths[0] < now - _FAILURE_WINDOW_S:
            self.deaths.popleft()
        count = len(self.deaths)
        reason = f"{_slaves(count)} died there without a job done between them; the last {how}"
        if self.most_failures is not None and count >= self.most_failures:
            return LeaveOut(self.host, reason)
        delay_s = 0.0 if did_jobs or count == 1 else _doubled(count - 2)
        return Replace(delay_s, True, reason) if self.is_on_probation else Replace(delay_s)


def _slaves(count: int) -> str:
    return f"{count} slave{'s' * (count != 1)}"


def _doubled(times: int) -> float:
    return min(_LONGEST_DELAY_S, _FIRST_DELAY_S * float(2 ** min(times, _MOST_DOUBLINGS)))
