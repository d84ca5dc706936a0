"""How much a slave is given next, as things stand: what ``Policy`` says, within what is left and what may be given."""

from __future__ import annotations

from tracking.core.items import Items
from tracking.core.ledger import Pace
from tracking.core.lifetimes import Lifetimes
from tracking.core.policy import Policy
from tracking.core.slaves import Host, Slave, Slaves
from tracking.core.waiting import Waiting


class Sizes:
    """Looks, and changes nothing.

    Args:
        policy: what the user wants.
        items: the items and their states.
        waiting: what was given back.
        slaves: all slaves.
        lifetimes: know which slaves have the time for what.
    """

    def __init__(self, policy: Policy, items: Items, waiting: Waiting, slaves: Slaves, lifetimes: Lifetimes) -> None:
        self._policy = policy
        self._items = items
        self._waiting = waiting
        self._slaves = slaves
        self._lifetimes = lifetimes

    @property
    def has_any(self) -> bool:
        """Whether anything is left to give out for the first time, or again."""
        return self._items.count_not_started > 0 or bool(self._waiting)

    def next_job(self, slave: Slave, depth: int, now: float) -> int:
        """How many items the next job of the slave is to have; 0: it gets none now."""
        if slave.jobs and (self._waiting.suspects or slave.is_closed):
            return 0
        policy, slaves, host, item_s = self._policy, self._slaves, slave.host, slave.pace.item_s
        remaining = self._items.count_not_started
        if item_s is None:
            item_s = host.pace.item_s
        slowness, cuts = self._slowness(host, item_s), self._cuts(host, depth)
        size = policy.size(item_s, host.pace.largest_job, remaining, slaves.usable, slowness, cuts)
        if slave.jobs and policy.is_scarce(size, remaining, slaves.usable):
            return 0
        if host.slowness > 1.0 and policy.leaves_last_jobs(size, host.slowness, remaining, slaves.brisk):
            return 0
        return size if slave.life is None else min(size, self._lifetimes.room(slave, now))

    def _slowness(self, host: Host, item_s: float | None) -> float:
        """How many times longer items take there: what the user says, or has been seen where jobs are sized by that."""
        mean_s = self._slaves.ledger.pace.item_s
        if self._policy.chunk_size != "auto" or not item_s or not mean_s:
            return host.slowness
        return max(host.slowness, item_s / mean_s)

    def _cuts(self, host: Host, depth: int) -> float:
        """Into how many jobs a slave's share of what is left is cut; see ``Policy.size``.

        As a rule half of the share is to be out, and what waits at a slave already counts. But of several hosts some
        may be slow, and what waits there is late: less is given at once. Where jobs take what was expected, more can
        be; then nothing waits at a slave any more, so only on the master's own machine, where messages take no time.
        """
        if self._slaves.n_hosts > 1:
            return 2 * depth
        return self._policy.cuts(host.pace.surprise, depth + 1) if host.is_here else depth + 1

    def row(self, slave: Slave, depth: int) -> tuple[int, int]:
        """How many items each tiny job is to have, and how many of them the slave may be given at once.

        None, where there is anything to be thought of that differs from one job to the next.
        """
        remaining = self._items.count_not_started
        if remaining <= 2 * self._slaves.usable or self._waiting:
            return 0, 0
        if slave.life is not None or slave.jobs_left is not None or slave.host.slowness > 1.0:
            return 0, 0
        size = self._policy.size(slave.pace.item_s, 0, 0, 0)
        return size, self._policy.row(size, remaining, self._slaves.usable, depth - len(slave.jobs))

    def rest_s(self, pace: Pace) -> float:
        """For how long answers may lie now before they are read: as long as no slave waits for what follows them."""
        slaves, remaining = self._slaves, self._items.count_not_started
        if slaves.idle or slaves.resting or self._waiting:
            return 0.0
        if self._policy.is_scarce(pace.largest_job, remaining, slaves.usable):
            return 0.0
        return self._policy.rest_s(pace.item_s, pace.job_s, pace.job_bytes, slaves.usable)
