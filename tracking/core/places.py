"""When a slave that died is replaced, and when its host is given up. Pure: told the time, remembers, decides."""

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
    """Start a new slave at this place, ``delay_s`` from now."""

    delay_s: float


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
            left out; None: never.
    """

    host: str
    most_failures: int | None = 10
    failed_starts: int = 0  # in a row: slaves that ended before they were up
    deaths: deque[float] = field(default_factory=deque)  # when, since the last job done

    def slave_is_up(self) -> None:
        """A slave has come up."""
        self.failed_starts = 0

    def job_was_done(self) -> None:
        """A slave here has done a job: whatever went wrong before, the host works."""
        if self.deaths:
            self.deaths.clear()

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
        if self.most_failures is not None and len(self.deaths) >= self.most_failures:
            reason = f"{len(self.deaths)} slaves died there without a job done between them; the last {how}"
            return LeaveOut(self.host, reason)
        if did_jobs or len(self.deaths) == 1:
            return Replace(0.0)
        return Replace(_doubled(len(self.deaths) - 2))


def _doubled(times: int) -> float:
    return min(_LONGEST_DELAY_S, _FIRST_DELAY_S * float(2 ** min(times, _MOST_DOUBLINGS)))
