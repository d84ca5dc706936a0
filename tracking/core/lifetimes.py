"""Slaves whose time is limited: what still fits into it, and who is to be replaced by one with all its time before it.

::

    came_at .. ready_at ............ now ...................... closes_at .. ends_at
                                      |<--- room: items that fit --->|<-- margin -->|
    fresh: nothing was given to it        times a safety factor        gets nothing

What no slave has the time for must not wait for ever, nor go round for ever: a fresh slave is given an item also where
that is not expected to fit. An item that was still running when the time of its slave was up *outlasted* it: from then
on it goes only to slaves that have clearly more time than it was seen to need, and to fresh ones; ``Blame`` gives it up
when it has outlasted so many fresh ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING

from tracking.core.agenda import Agenda

if TYPE_CHECKING:
    from tracking.core.items import Items
    from tracking.core.jobs import Job
    from tracking.core.slaves import Slave, Slaves
    from tracking.core.waiting import Waiting

_MARGIN_S = 5.0  # before its end a slave gets nothing: results have to travel, and it has to end ...
_MARGIN_SHARE = 0.05  # ... or this share of its time, if that is shorter
_SAFETY = 1.3  # an item may take so many times longer than expected
_HARDLY_USED = 0.9  # with this share of its time before it a slave is as good as a fresh one
_MOST_UNUSED = 3  # so many slaves were retired before they got anything: no better ones come
_MANY = 2**63


class Life:
    """The limited time of a slave.

    Attributes:
        came_at, ends_at: all of it, on the scheduler's clock.
        ready_at: since when it can be used.
        was_used: it was given something.
    """

    def __init__(self, came_at: float, ends_at: float, ready_at: float) -> None:
        self.came_at = came_at
        self.ends_at = ends_at
        self.ready_at = ready_at
        self.was_used = False

    @property
    def whole_s(self) -> float:
        """The whole of it, in seconds."""
        return self.ends_at - self.came_at

    @property
    def closes_at(self) -> float:
        """From then on it gets nothing more.

        >>> Life(0.0, 3600.0, 1.0).closes_at, Life(0.0, 10.0, 1.0).closes_at
        (3595.0, 9.5)
        """
        return self.ends_at - min(_MARGIN_S, _MARGIN_SHARE * self.whole_s)


class Lifetimes:
    """Knows what fits.

    Args:
        slaves: all slaves.
        items: the items and their states.
        waiting: what was given back.
    """

    def __init__(self, slaves: Slaves, items: Items, waiting: Waiting) -> None:
        self._slaves = slaves
        self._items = items
        self._waiting = waiting
        self._closings = Agenda()
        self._coming = 0  # slaves that take the place of those that were retired, and are not ready yet
        self._longest_s = 0.0  # the most time that a slave had left when it was ready
        self._unused = 0  # slaves that were retired before they got anything, since one came with so much time
        self.are_limited = False  # some slave's time ever was

    # ---- slaves come and go

    def enter(self, slave: Slave, now: float) -> None:
        """A slave is ready."""
        self._coming = max(0, self._coming - 1)
        if slave.life is None:
            return
        self.are_limited = True
        self._closings.put(slave.number, slave.life.closes_at)
        left_s = slave.life.ends_at - now
        self._longest_s = max(self._longest_s, left_s)
        if left_s >= _HARDLY_USED * self._longest_s:
            self._unused = 0

    def forget(self, slave: Slave) -> None:
        """A slave is gone."""
        self._closings.drop(slave.number)

    def next_wakeup(self) -> float | None:
        """When the time of a slave is up; None: nobody's is limited."""
        first = self._closings.first()
        return first[0] if first else None

    def closing(self, now: float) -> list[Slave]:
        """The slaves that get nothing more from now on; each comes once."""
        found = []
        while (first := self._closings.first()) is not None and first[0] <= now:
            self._closings.drop(first[1])
            slave = self._slaves.get(first[1])
            if slave is not None:
                slave.is_over = True
                found.append(slave)
        return found

    # ---- what fits

    @staticmethod
    def is_over(slave: Slave, now: float) -> bool:
        """Whether the time of the slave is up, or will be in a moment."""
        return slave.life is not None and now >= slave.life.closes_at

    def room(self, slave: Slave, now: float) -> int:
        """So many more items are expected to fit into the time of the slave.

        With nothing measured that is one: it costs least if it does not fit, and then something is measured.
        """
        life = slave.life
        if life is None:
            return _MANY
        left_s = life.closes_at - now
        if left_s <= 0.0:
            return 0
        item_s = self._slaves.item_s(slave)
        if item_s is None:
            return 0 if slave.jobs else 1
        most = math.floor(min(left_s / max(_SAFETY * item_s, 1e-9), 1e12)) - slave.load
        if most < 1 and not slave.jobs and self._is_fresh(life, now):
            return 1
        return max(0, most)

    def has_time(self, slave: Slave, needed_s: float, now: float) -> bool:
        """Whether the slave has clearly more time than that, or all that any slave has."""
        life = slave.life
        return life is None or life.closes_at - now >= _SAFETY * needed_s or self._is_fresh(life, now)

    def able(self, now: float) -> Mapping[int, Slave]:
        """The idle slaves that have the time for something; those with most of it in front, if it is limited."""
        idle = self._slaves.idle
        if not self.are_limited:
            return idle
        able = [slave for slave in idle.values() if self.room(slave, now)]
        able.sort(key=lambda slave: slave.life.ends_at if slave.life else math.inf, reverse=True)
        return {slave.number: slave for slave in able}

    def first_able(self, now: float) -> Slave | None:
        """The first idle slave that has time for something, also on slow hosts."""
        slaves = chain(self._slaves.idle.values(), self._slaves.resting.values())
        return next((slave for slave in slaves if self.room(slave, now)), None)

    def asked(self, most: int) -> list[Slave]:
        """Idle slaves to be asked whether they can take what has become free; all of them if it may be too long."""
        idle, resting = self._slaves.idle.values(), self._slaves.resting.values()
        return [*idle, *resting] if self.are_limited else [*islice(idle, most), *islice(resting, 1)]

    def _is_fresh(self, life: Life, now: float) -> bool:
        """Whether no other slave can be expected to have more time."""
        left_s = life.ends_at - now
        if left_s >= _HARDLY_USED * max(life.whole_s, self._longest_s):
            return True
        if life.was_used or left_s < _HARDLY_USED * (life.ends_at - life.ready_at):
            return False
        if left_s >= _HARDLY_USED * self._longest_s:
            return True
        return self._unused >= _MOST_UNUSED and not self._has_better(life)

    def _has_better(self, life: Life) -> bool:
        """Whether there are slaves of another kind, that may stay longer."""
        others = (slave.life for slave in self._slaves if slave.is_usable)
        return any(other is None or other.whole_s * _HARDLY_USED > life.whole_s for other in others)

    def is_long(self, positions: Sequence[int]) -> bool:
        """Whether one of these items may have outlasted a slave; such are not given to several."""
        outlasted_s = self._waiting.outlasted_s
        return bool(outlasted_s) and any(position in outlasted_s for position in positions)

    # ---- what follows

    def job_is_given(self, slave: Slave, job: Job, now: float) -> None:
        """The slave is given this job now, and has the time for it, or all that a slave can have."""
        if slave.life is not None:
            job.has_whole_life = not slave.jobs and len(job.positions) == 1 and self._is_fresh(slave.life, now)
            slave.life.was_used = True

    def why_retire(self, slave: Slave, now: float) -> str:
        """Why a slave that holds nothing, and was given nothing now, should make room for another; "": it should not.

        No more than there are items that wait: an idle slave costs less than one that has to queue.
        """
        if slave.life is None:
            return ""
        if self.is_over(slave, now):
            return "its time is nearly up"
        waiting = self._items.count_not_started
        if slave.is_usable and self._coming < waiting and self._lacks_time(slave, slave.life, now):
            return "no item fits into the time that it has left"
        return ""

    def _lacks_time(self, slave: Slave, life: Life, now: float) -> bool:
        """Whether nothing that waits fits, but may well fit into the time of the next one."""
        if not self.room(slave, now):
            item_s = self._slaves.item_s(slave) or 0.0
            return _SAFETY * item_s <= life.whole_s or not self._has_better(life)
        waiting = self._waiting
        if self._items.has_queued or waiting.has_usual or self._coming >= len(waiting.long):
            return False
        if any(self.has_time(slave, needed_s, now) for needed_s in waiting.needed_s()):
            return False
        return not self._has_better(life)

    def retired(self, slave: Slave) -> None:
        """The slave is told to end; another will come."""
        if slave.life is not None:
            self._coming += 1
            self._unused += not slave.life.was_used
