"""What becomes of the items of a job that failed: finds the guilty one, tries again, gives up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tracking.core.commands import Cause, GiveUp
from tracking.core.dealer import Dealer
from tracking.core.items import Items
from tracking.core.jobs import Job
from tracking.core.policy import RETRY_PATIENCE_S, Policy
from tracking.core.waiting import Piece

_MOST_LOSSES = 20  # an item with which the host of its slave was lost so often is what brings hosts down
_MANY_LOSSES = 5  # a job with which it was lost so often may hold such an item: it is looked for
_MOST_LIVES = 3  # an item that outlasts so many slaves does so for ever, also where deaths are not counted


class Trouble:
    """What went wrong with one item when it was the only one that could be blamed."""

    __slots__ = ("deaths", "failures", "lives", "tries")

    def __init__(self, tries: int) -> None:
        self.tries = tries
        self.failures = 0  # raised, or took too long
        self.deaths = 0
        self.lives = 0  # of slaves: the whole limited time of one was not enough


class Blame:
    """Judges items whose jobs did not come back well.

    Args:
        items: the items and their states.
        policy: what the user wants.
        dealer: takes what is to be tried again.

    Attributes:
        given_up: the positions that will not be tried again (they count as finished).
    """

    def __init__(self, items: Items, policy: Policy, dealer: Dealer) -> None:
        self.given_up: set[int] = set()
        self._items = items
        self._policy = policy
        self._dealer = dealer
        self._trouble: dict[int, Trouble] = {}
        self._losses = Counter[int]()  # item -> how often it ran when the host of its slave was lost

    def some_raised(self, job: Job, raised: Sequence[int], now: float) -> None:
        """The job has come back; these of its items raised, by themselves, and all others are finished."""
        guilty = set(raised)
        self._items.finish(tuple(position for position in job.positions if position not in guilty))
        for position in self._items.unfinished(raised):
            self._failed(job, position, Cause.RAISED, now)

    def all_failed(self, job: Job, is_final: bool, now: float) -> None:
        """The job failed as a whole; ``is_final``: no other try can help."""
        rest = self._items.unfinished(job.positions)
        if len(rest) > 1:
            self._split(job, rest, is_alone=job.is_alone)
        elif rest and is_final:
            self._give_up(rest[0], Cause.UNSENDABLE, self._trouble_of(job, rest[0]))
        elif rest:
            self._failed(job, rest[0], Cause.RAISED, now)

    def slave_died(self, job: Job, *, was_alone: bool) -> None:
        """The slave died while it worked on this job; ``was_alone``: it held no other."""
        rest = self._items.unfinished(job.positions)
        if len(rest) != 1 or job.left != 1:  # it may have died of one that was given up meanwhile
            self._split(job, rest, is_alone=True)
            return
        trouble = self._trouble_of(job, rest[0])
        trouble.deaths += was_alone
        if self._policy.max_deaths is not None and trouble.deaths >= self._policy.max_deaths:
            self._give_up(rest[0], Cause.KILLED_SLAVE, trouble)
        elif job.unshared(rest):
            self._dealer.waiting.put_first(
                Piece(rest, trouble.tries, is_alone=True, deaths=trouble.deaths, race=job.silent_race)
            )

    def took_too_long(self, job: Job, now: float) -> None:
        """The slave was ended because this job ran over its time limit: the item that it worked on is guilty."""
        rest = self._items.unfinished(job.positions)
        # That only one is left to do does not make it guilty: the one that the slave worked on may be given up already.
        guilty = job.positions[-1] if job.left == 1 else job.announced
        if guilty is None:
            self._split(job, rest, is_alone=job.is_alone)
            return
        if guilty in rest:
            self._failed(job, guilty, Cause.TIMEOUT, now)
        self._dealer.put_back_these(job, tuple(position for position in rest if position != guilty))

    def host_was_lost(self, job: Job) -> None:
        """The slave worked on this job when its host, its line or its time in a queue ended: nobody is to blame.

        But an item may bring down whole hosts, by taking all their memory for example, and must not go round for ever.
        """
        rest = self._items.unfinished(job.positions)
        self._losses.update(rest)
        most = max((self._losses[position] for position in rest), default=0)
        if self._policy.max_deaths is None or most < _MANY_LOSSES:
            self._dealer.put_back(job)
        elif len(rest) > 1:
            self._split(job, rest, is_alone=True)
        elif most < _MOST_LOSSES or job.left > 1:
            self._dealer.put_back(job)
        else:
            self._give_up(rest[0], Cause.KILLED_SLAVE, self._trouble_of(job, rest[0]))

    def outlasted(self, job: Job, now: float) -> None:
        """The slave's time was up while it worked on this job: to be done by one that has more time."""
        rest = self._items.unfinished(job.positions)
        running = job.positions[-1] if job.left == 1 else job.announced
        outlasted_s = self._dealer.waiting.outlasted_s
        if running is None:  # it took longer than expected: which one of them is found by cutting
            for position in rest:
                outlasted_s.setdefault(position, 0.0)
            self._split(job, rest, is_alone=job.is_alone)
            return
        self._dealer.put_back_these(job, tuple(position for position in rest if position != running))
        if running not in rest:
            return
        ran_s = now - (job.given_at if job.began_at is None else job.began_at)
        outlasted_s[running] = max(ran_s, outlasted_s.get(running, 0.0))
        trouble = self._trouble_of(job, running)
        trouble.lives += job.has_whole_life
        if trouble.lives >= (self._policy.max_deaths or _MOST_LIVES):
            self._give_up(running, Cause.OUT_OF_TIME, trouble)
        elif job.unshared((running,)):
            self._dealer.waiting.put_first(
                Piece((running,), trouble.tries, is_alone=job.is_alone, race=job.silent_race)
            )

    def forget(self, job: Job) -> None:
        """The job has come back: what went wrong with its finished items before does not matter any more."""
        for position in job.positions:
            if self._trouble and self._items.count(position) == 0:
                self._trouble.pop(position, None)

    def _failed(self, job: Job, position: int, cause: Cause, now: float) -> None:
        """The item raised or took too long; it is tried again as often as is wanted."""
        trouble = self._trouble_of(job, position)
        trouble.failures += 1
        if trouble.failures > self._policy.retries:
            self._give_up(position, cause, trouble)
        elif job.unshared((position,)):
            until, turn = now + RETRY_PATIENCE_S, len(self._items)
            self._dealer.waiting.put_last(
                Piece(
                    (position,),
                    trouble.tries,
                    avoided=job.slave.number,
                    avoided_until=until,
                    turn=turn,
                    race=job.silent_race,
                )
            )

    def _split(self, job: Job, positions: Sequence[int], *, is_alone: bool) -> None:
        positions = job.unshared(positions)
        for piece in reversed(self._policy.pieces(positions)):
            self._dealer.waiting.put_first(Piece(piece, job.tries + 1, is_alone=is_alone, race=job.silent_race))

    def _trouble_of(self, job: Job, position: int) -> Trouble:
        """The record of an item, with its try in this job counted."""
        trouble = self._trouble.setdefault(position, Trouble(job.tries))
        trouble.tries += 1
        return trouble

    def _give_up(self, position: int, cause: Cause, trouble: Trouble) -> None:
        self._items.finish_one(position)
        self.given_up.add(position)
        self._trouble.pop(position, None)
        self._dealer.commands.append(GiveUp(position, cause, trouble.tries))
