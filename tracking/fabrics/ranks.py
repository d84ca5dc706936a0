"""The ranks of the MPI job that this program is rank 0 of, as hosts of slaves.

::

    pool's thread                    the roster's thread (daemon)             rank r (``slave.ranks``)
      RanksLauncher --start, stop-->   which rank does it  == line of r ==>     forks the relay
         inbox  <---- up, ended -----  Reception  <------ dials back -------    relay

One reception for all pools of the program, since the ranks have one ticket. Pools that work at the same time share the
ranks as those of one machine share its cores: each has its own relay there.
Stop order: none; the program ends, its lines end, the ranks see that and end.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tracking.errors import EngineError, InputError
from tracking.fabrics.inbox import Bell, Inbox
from tracking.fabrics.launcher import RelayEnded, RelayNews, RelayUp
from tracking.fabrics.local import exit_in_words
from tracking.fabrics.reception import Reception
from tracking.fabrics.relayed import RelayedFabric
from tracking.slave.ranks import RANK_NUMBERS
from tracking.wire.keys import Key
from tracking.wire.pump import Pump
from tracking.wire.tickets import Ticket

_CONNECT_S = 60.0  # so long a rank may take to call
_LATE_S = 10.0  # so long the end of a very short program waits for ranks that are about to call


@dataclass(slots=True)
class Rank:
    """What is known of a rank.

    Attributes:
        number: its rank.
        numbers: of the relays that were ordered there and have not ended.
        host: where it is; "": it has not called yet.
        pump: its line; None: it has not called yet, or is gone.
        is_gone: it has ended.
    """

    number: int
    numbers: set[int] = field(default_factory=set)
    host: str = ""
    pump: Pump | None = None
    is_gone: bool = False


def rank_for(ranks: Iterable[Rank]) -> Rank | None:
    """The rank with the fewest relays, of those that are not gone; the first of several."""
    return min((rank for rank in ranks if not rank.is_gone), key=lambda rank: len(rank.numbers), default=None)


class Roster:
    """All other ranks of this job. Orders are given by any thread.

    Args:
        size: how many ranks there are, ours included.

    Raises:
        EngineError: the package that encrypts lines is not installed.
    """

    def __init__(self, size: int) -> None:
        self._reception = Reception(Key())
        self.ticket: Ticket = self._reception.ticket()
        self._ranks = {number: Rank(number) for number in range(1, size)}
        for number in self._ranks:
            self._reception.expect(RANK_NUMBERS + number)
        self._inboxes: dict[int, Inbox] = {}  # by number of a relay; the roster's thread only
        self._orders: deque[Callable[[], None]] = deque()
        self._bell = Bell()
        self._have_called = threading.Event()
        self._began = time.monotonic()
        os.register_at_fork(after_in_child=self._forget_lines)
        threading.Thread(target=self._serve, name="tracking: MPI ranks", daemon=True).start()

    @property
    def size(self) -> int:
        """How many ranks do the work."""
        return len(self._ranks)

    def start(self, numbers: Sequence[int], inbox: Inbox) -> None:
        """Have relays of these numbers started; what becomes of them is told to the inbox."""
        self._order(lambda: self._start(numbers, inbox))

    def stop(self, numbers: Sequence[int]) -> None:
        """Have them ended; nothing more is told of them."""
        self._order(lambda: self._stop(numbers))

    def waiting_for(self) -> str:
        """Ranks that have not called, in words."""
        missing = [rank.number for rank in self._ranks.values() if not rank.host and not rank.is_gone]
        if not missing:
            return ""
        waited_s = time.monotonic() - self._began
        return f"{len(missing)} of {len(self._ranks)} MPI ranks have not called within {waited_s:.0f} s"

    def wait_for_calls(self) -> None:
        """Wait until all ranks have called, bounded: a rank that finds nobody there would go on looking for us."""
        self._have_called.wait(_LATE_S)

    def _order(self, order: Callable[[], Any]) -> None:
        self._orders.append(order)
        self._bell.ring()

    def _forget_lines(self) -> None:
        """In a forked copy of the program: the end of the program must be seen though the copy lives on."""
        for rank in self._ranks.values():
            if rank.pump is not None:
                for descriptor in {rank.pump.carrier.read_descriptor(), rank.pump.carrier.write_descriptor()}:
                    with suppress(OSError):
                        os.close(descriptor)

    # ---- the roster's thread

    def _serve(self) -> None:
        while True:
            self._wait()
            self._bell.hush()
            while self._orders:
                self._orders.popleft()()
            for up in self._reception.poll():
                self._called(up)
            for rank in self._ranks.values():
                if rank.pump is not None:
                    self._turn(rank, rank.pump)

    def _wait(self) -> None:
        poller = select.poll()
        poller.register(self._bell, select.POLLIN)
        for descriptor in self._reception.descriptors():
            poller.register(descriptor, select.POLLIN)
        pumps = [rank.pump for rank in self._ranks.values() if rank.pump is not None]
        for pump in pumps:
            poller.register(pump, select.POLLIN)
        within_s = 0.0 if any(pump.has_more for pump in pumps) else self._reception.poll_within_s()
        poller.poll(None if within_s is None else 1000 * within_s + 1)

    def _called(self, up: RelayUp) -> None:
        rank = self._ranks.get(up.number - RANK_NUMBERS)
        if rank is not None:
            rank.pump = Pump(up.carrier, lambda news: self._heard(rank, news), time.monotonic)
            if all(rank.pump is not None or rank.is_gone for rank in self._ranks.values()):
                self._have_called.set()
            for number in sorted(rank.numbers):
                rank.pump.say(do="start", number=number)
        elif up.number in self._inboxes:
            self._inboxes[up.number].put(up)
        else:
            up.carrier.close()

    def _turn(self, rank: Rank, pump: Pump) -> None:
        pump.turn()
        if pump.fault:
            rank.is_gone, rank.pump = True, None
            pump.close()
            for number in list(rank.numbers):
                self._ended(rank, number, f"the rank has ended: {pump.fault}")

    def _heard(self, rank: Rank, news: dict[str, Any]) -> None:
        if news.get("is") == "up":
            rank.host = str(news["host"])
        elif news.get("is") == "ended":
            how = news["how"]
            self._ended(rank, news["number"], exit_in_words(how) if isinstance(how, int) else str(how))

    def _ended(self, rank: Rank, number: int, how: str) -> None:
        rank.numbers.discard(number)
        self._reception.forget(number)
        inbox = self._inboxes.pop(number, None)
        if inbox is not None:
            where = f" on {rank.host}" if rank.host else ""
            inbox.put(RelayEnded(number, f"relay of MPI rank {rank.number}{where}: {how}"))

    def _start(self, numbers: Sequence[int], inbox: Inbox) -> None:
        for number in numbers:
            self._start_one(number, inbox)

    def _start_one(self, number: int, inbox: Inbox) -> None:
        rank = rank_for(self._ranks.values())
        if rank is None:
            inbox.put(RelayEnded(number, "all MPI ranks but this program's have ended"))
            return
        self._inboxes[number] = inbox
        self._reception.expect(number)
        rank.numbers.add(number)
        if rank.pump is not None:
            rank.pump.say(do="start", number=number)
            rank.pump.flush()

    def _stop(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._stop_one(number)

    def _stop_one(self, number: int) -> None:
        self._inboxes.pop(number, None)
        self._reception.forget(number)
        for rank in self._ranks.values():
            if number in rank.numbers:
                if rank.pump is None:
                    rank.numbers.discard(number)
                else:
                    rank.pump.say(do="stop", number=number)
                    rank.pump.flush()


class RanksLauncher:
    """Has relays started on the ranks.

    Args:
        roster: the ranks.
    """

    name = "mpi"
    is_by_host = False
    start_timeout_s: float | None = _CONNECT_S
    silence_s = 10.0
    master_silence_s = 60.0

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._inbox: Inbox | None = None
        self._numbers: set[int] = set()  # that have not ended

    def check_host(self, host: str) -> None:
        """MPI has chosen the hosts."""
        if host not in ("", self.name):
            raise InputError(
                f"slaves run on the ranks of this MPI job, whose hosts mpiexec has chosen: leave out {host!r}"
            )

    def hosts_for(self, count: int | None) -> list[str]:
        """As many as there are ranks for them."""
        return [self.name] * (self._roster.size if count is None else count)

    def check(self, hosts: Sequence[str]) -> dict[str, str]:
        """Nothing to find out."""
        return {}

    def launch(self, numbers: Sequence[int], host: str) -> None:
        if self._inbox is None:
            self._inbox = Inbox()
        self._numbers.update(numbers)
        self._roster.start(list(numbers), self._inbox)

    def line_is_cut(self, number: int) -> None:
        """The rank will tell."""

    def descriptors(self) -> Iterable[int]:
        return [] if self._inbox is None else [self._inbox.bell.fileno()]

    def poll(self) -> list[RelayNews]:
        news = [] if self._inbox is None else self._inbox.take()
        self._numbers -= {one.number for one in news if isinstance(one, RelayEnded)}
        return news

    def poll_within_s(self) -> float | None:
        return None

    def waiting_for(self) -> str:
        return self._roster.waiting_for()

    def stop(self, number: int) -> None:
        if number in self._numbers:
            self._numbers.discard(number)
            self._roster.stop([number])

    def close(self) -> None:
        """The ranks are free again."""
        if self._inbox is not None:
            self._roster.stop(sorted(self._numbers))
            self._numbers.clear()
            self._inbox.close()
            self._inbox = None


class RanksFabric(RelayedFabric):
    """Starts slaves on the ranks of the MPI job that this program is rank 0 of; see ``tracking.fabrics.mpi``."""

    def __init__(self) -> None:
        if _roster is None:
            raise EngineError("this program was not started by 'mpiexec -n N python -m tracking.fabrics.mpi PROGRAM'")
        super().__init__(RanksLauncher(_roster))


_roster: Roster | None = None


def roster_in_use() -> Roster | None:
    """The ranks of this program; None: it has none, or not yet."""
    return _roster


def use(roster: Roster) -> None:
    """From now on this program has ranks."""
    global _roster
    _roster = roster
