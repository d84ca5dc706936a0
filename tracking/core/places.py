"""When a slave that died is replaced, and when its host is given up. Pure: told the time, remembers, decides.

A host on which slaves keep dying is first put on probation, then left out::

    deaths without a job done between them   1 ... half the bound    ... the bound
    what is decided                          Replace   Replace(on    LeaveOut
                                                       probation)

On probation: of the places there that wait for a slave only one gets one at a time; the others go on waiting
(with no timer of their own), and those slaves that live go on. When that slave dies the next place is tried, after the
delay of the new verdict; when any slave there has done a job (``job_was_done`` says True) all of them are
filled at once.

Where jobs were done, the first few deaths may as well be the fault of items, and no delay is long. A death that an item
is known to be to blame for (``doubts``) is not told to the record at all.

A host that was lost (it crashed, the network to it was cut, a queue has ended its slaves) is not in doubt: it is tried
again, later and later, and left out only when no slave has come up there for ``UNREACHABLE_S``.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 10.0
_LONGEST_TRUSTED_DELAY_S = 0.5  # where jobs were done: it may well be the items that kill ...
_TRUSTED_DEATHS = 10  # ... unless it is more of them
_MOST_DOUBLINGS = 10  # any number that leads beyond the longest delay
_FAILED_STARTS = 3
_FAILURE_WINDOW_S = 600.0
_FIRST_RETURN_S = 0.5  # a host that was lost is tried again after so long ...
_LONGEST_RETURN_S = 60.0  # ... then after twice as long each time, and at least so often
UNREACHABLE_S = 600.0  # a host that was lost is waited for so long


class Replace(NamedTuple):
    """Start a new slave at this place, ``delay_s`` from now.

    Attributes:
        delay_s: so long to wait.
        is_on_probation: one slave at a time is started on this host until one has done a job.
        reason: why it is on probation, in words; "" if it is not.
    """

    delay_s: float
    is_on_probation: bool = False
    reason: str = ""


class LeaveOut(NamedTuple):
    """Start no more slaves on this host, for this reason."""

    host: str
    reason: str


class HostRecord:
    """How slaves on one host have fared lately.

    Args:
        host: its name.
        most_failures: so many deaths within 10 minutes, without a job done between them, and the host is
            left out, half as many, and it is on probation; None: never.
    """

    def __init__(self, host: str, most_failures: int | None = 10) -> None:
        self.host = host
        self.most_failures = most_failures
        self.failed_starts = 0  # in a row: slaves that ended before they were up
        self.deaths: deque[float] = deque()  # when, since the last job done
        self.has_worked = False  # a job was done before a slave died here, or since
        self.was_ever_up = False  # a slave has come up here, at some time
        self.losses = 0  # in a row: how often the host was lost, or not reached, since a slave came up
        self.lost_at = 0.0  # when the first of these was

    def slave_is_up(self) -> None:
        """A slave has come up."""
        self.was_ever_up = True
        self.failed_starts = self.losses = 0

    @property
    def is_on_probation(self) -> bool:
        """Whether one slave at a time is to be started here."""
        return self.most_failures is not None and len(self.deaths) >= max(1, self.most_failures // 2)

    def job_was_done(self) -> bool:
        """A slave here has done a job: whatever went wrong before, the host works. True: that ends its probation."""
        if not self.deaths:
            return False
        was_on_probation = self.is_on_probation
        self.has_worked = True
        self.deaths.clear()
        return was_on_probation

    def host_was_lost(self, now: float, how: str, *, was_up: bool) -> Replace | LeaveOut:
        """Slaves here have ended, or could not be started, through no fault of their own nor of their work.

        A host on which no slave ever came up is not given that credit: there, it is a failed start like any other.

        Args:
            now: seconds on any clock.
            how: in words.
            was_up: a slave was up until now; False: one that was to come up did not.
        """
        if not (was_up or self.was_ever_up):
            return self.slave_died(now, how, was_up=False, did_jobs=False)
        if was_up or not self.losses:
            self.lost_at = now
        self.losses += 1
        left_s = self.lost_at + UNREACHABLE_S - now
        if left_s <= 0.0:
            tries = f"in {UNREACHABLE_S / 60:g} min no slave has come up there, {self.losses - 1} times tried"
            return LeaveOut(self.host, f"{tries}; the last {was(how)}")
        return Replace(min(left_s, _doubled(self.losses - 1, _FIRST_RETURN_S, _LONGEST_RETURN_S)))

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
                reason = f"{self.failed_starts} slaves in a row ended before they were up; the last {was(how)}"
                return LeaveOut(self.host, reason)
            return Replace(_doubled(self.failed_starts, _FIRST_DELAY_S, _LONGEST_DELAY_S))
        self.has_worked = self.has_worked or did_jobs
        self.deaths.append(now)
        while self.deaths and self.deaths[0] < now - _FAILURE_WINDOW_S:
            self.deaths.popleft()
        count = len(self.deaths)
        reason = f"{_slaves(count)} died there without a job done between them; the last {was(how)}"
        if self.most_failures is not None and count >= self.most_failures:
            return LeaveOut(self.host, reason)
        is_trusted = self.has_worked and count <= _TRUSTED_DEATHS
        longest_s = _LONGEST_TRUSTED_DELAY_S if is_trusted else _LONGEST_DELAY_S
        delay_s = 0.0 if did_jobs or count == 1 else _doubled(count - 2, _FIRST_DELAY_S, longest_s)
        return Replace(delay_s, True, reason) if self.is_on_probation else Replace(delay_s)


def was(how: str) -> str:
    """How a slave ended, as the end of a sentence about it.

    >>> was("killed by SIGKILL"), was("ended with exit status 3"), was("could not be started")
    ('was killed by SIGKILL', 'ended with exit status 3', 'could not be started')
    """
    return how if how.startswith(("ended", "could not", "did not")) else f"was {how}"


def _slaves(count: int) -> str:
    return f"{count} slave{'s' * (count != 1)}"


def _doubled(times: int, first_s: float, longest_s: float) -> float:
    return min(longest_s, first_s * float(2 ** min(times, _MOST_DOUBLINGS)))
