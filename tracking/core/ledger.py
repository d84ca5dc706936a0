"""What each slave and host was given and did, in what time, and how fast they have proved to be.

A slave is written down under its nickname: one that takes the place of a dead one goes on in its line.
"""

from __future__ import annotations

from typing import NamedTuple

_NEWEST_COUNTS = 0.3  # weight of the newest measurement in an exponential mean


class SlaveLine(NamedTuple):
    """What one slave was given and did so far.

    Attributes:
        nickname: its name.
        host: where it is.
        given: jobs it was given.
        done: jobs it has done.
        items: items it has done.
        seconds: time that it worked on these.
        started_at: when it was given its latest job, on the scheduler's clock; None: never.
    """

    nickname: str
    host: str
    given: int
    done: int
    items: int
    seconds: float
    started_at: float | None


class Pace:
    """Measured times of one slave, one host, or all together.

    Attributes:
        item_s: seconds per item, None as long as nothing was measured.
        job_s: seconds per job.
        job_bytes: bytes per job, both ways.
        largest_job: most items of a job measured so far.
        surprise: by what share of what was expected seconds per item were other than that; an exponential mean, at most
            1.0, with which it begins.
    """

    __slots__ = ("item_s", "job_bytes", "job_s", "largest_job", "surprise")

    def __init__(self) -> None:
        self.item_s: float | None = None
        self.job_s = 0.0
        self.job_bytes = 0.0
        self.largest_job = 0
        self.surprise = 1.0

    def learn(self, items: int, seconds: float, size: float, jobs: int = 1) -> None:
        """Take in one measured job, or several of the same length: their items, seconds, and bytes in all."""
        if jobs > 1:
            items, seconds, size = items // jobs, seconds / jobs, size / jobs
        if items > self.largest_job:
            self.largest_job = items
        if self.item_s is None:
            self.item_s, self.job_s, self.job_bytes = seconds / items, seconds, size
            return
        self.learn_item_s(seconds / items)
        self.job_s += _NEWEST_COUNTS * (seconds - self.job_s)
        self.job_bytes += _NEWEST_COUNTS * (size - self.job_bytes)

    def learn_item_s(self, item_s: float) -> None:
        """Take in the seconds per item of a job, which may still run."""
        if self.item_s is None:
            self.item_s = item_s
            return
        off_s = item_s - self.item_s
        surprise = min(1.0, abs(off_s) / self.item_s) if self.item_s > 0.0 else 1.0
        self.surprise += _NEWEST_COUNTS * (surprise - self.surprise)
        self.item_s += _NEWEST_COUNTS * off_s


class Account:
    """The line of one slave while it is being written; changed by the scheduler only."""

    __slots__ = ("done", "given", "host", "items", "nickname", "seconds", "started_at")

    def __init__(self, nickname: str, host: str) -> None:
        self.nickname = nickname
        self.host = host
        self.given = 0
        self.done = 0
        self.items = 0
        self.seconds = 0.0
        self.started_at: float | None = None

    def line(self) -> SlaveLine:
        """As it stands now."""
        return SlaveLine(
            self.nickname, self.host, self.given, self.done, self.items, self.seconds, self.started_at
        )


class Ledger:
    """The accounts of all slaves and the paces of all hosts.

    >>> ledger = Ledger()
    >>> account = ledger.account("snoopy_0", "snoopy")
    >>> ledger.given(account, now=10.0)
    >>> ledger.done(account, items=5, seconds=2.5)
    >>> ledger.snapshot()[0].seconds
    2.5
    """

    def __init__(self) -> None:
        self.pace = Pace()  # of all hosts together
        self._accounts: dict[str, Account] = {}
        self._hosts: dict[str, Pace] = {}

    def account(self, nickname: str, host: str) -> Account:
        """The account of the slave of this name, opened when there is none."""
        account = self._accounts.get(nickname)
        if account is None:
            account = self._accounts[nickname] = Account(nickname, host)
        account.host = host
        return account

    def host_pace(self, host: str) -> Pace:
        """How fast this host has proved to be."""
        return self._hosts.setdefault(host, Pace())

    def given(self, account: Account, now: float, jobs: int = 1) -> None:
        """So many jobs were given to this slave."""
        account.given += jobs
        account.started_at = now

    def returned(self, account: Account) -> None:
        """A job came back from this slave unbegun: it counts as never given."""
        account.given -= 1

    def done(self, account: Account, items: int, seconds: float, jobs: int = 1) -> None:
        """The slave has done a job, or several, of so many items in so many seconds."""
        account.done += jobs
        account.items += items
        account.seconds += seconds

    def snapshot(self) -> tuple[SlaveLine, ...]:
        """All slaves so far, in the order in which they came."""
        return tuple(account.line() for account in self._accounts.values())
