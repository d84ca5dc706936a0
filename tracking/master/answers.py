"""From messages to results: which answers count, which items failed, and what is said of those."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple

from tracking.core.commands import Cause, GiveUp
from tracking.core.places import was
from tracking.errors import ItemError, ItemKilledSlave, ItemRaised, ItemResultError, ItemTimeout
from tracking.master.id_runs import ids_in_run
from tracking.pool.client import outlasted_words
from tracking.pool.crew import SlaveInfo
from tracking.wire import codec
from tracking.wire import messages as m


class SentJob:
    """A job whose answer is out: its items, those of them that have failed so far, and the time it took so far."""

    __slots__ = ("failed", "ids", "positions", "seconds", "slave")

    def __init__(self, positions: Sequence[int], ids: Sequence[Hashable], slave: SlaveInfo) -> None:
        self.positions = positions
        self.ids = ids
        self.slave = slave
        self.seconds = 0.0
        self.failed: tuple[int, ...] = ()


class Trouble(NamedTuple):
    """What last happened to an item that has no result yet."""

    slave: SlaveInfo
    report: m.Report
    last_lines: str = ""


class Answers:
    """Knows the jobs that are out, and what went wrong with items."""

    def __init__(self, ids: Sequence[Hashable]) -> None:
        self._ids = ids
        self.jobs: dict[int, SentJob] = {}
        self._trouble: dict[int, Trouble] = {}

    def jobs_of(self, tid: int) -> list[int]:
        """The jobs that are out at this slave."""
        return [job for job, sent in self.jobs.items() if sent.slave.tid == tid]

    def ids_at(self, positions: Sequence[int]) -> Sequence[Hashable]:
        """The ids of items by position."""
        if isinstance(positions, range) and positions.step == 1:
            return ids_in_run(self._ids, positions)
        return [self._ids[position] for position in positions]

    def accept(
        self,
        job: SentJob,
        wanted: Sequence[int],
        first: int,
        results: list[Any],
        reports: dict[int, m.Report],
    ) -> tuple[Sequence[int], Sequence[Hashable], list[Any]]:
        """The positions that these results finish, their ids, and their results.

        Args:
            wanted: positions of the job whose result nobody has given yet.
            first: index in the job of the first result.
            results: in the order of the job's items; None where an item failed.
            reports: {index in the job: why it failed}.
        """
        for index, report in reports.items():
            job.failed += (job.positions[index],)
            self._trouble[job.positions[index]] = Trouble(job.slave, report)
        if not reports and len(wanted) == len(results) == len(job.positions):
            return job.positions, job.ids, results
        positions = job.positions[first : first + len(results)]
        if not reports and _are_in(positions, wanted):
            return positions, job.ids[first : first + len(results)], results
        is_wanted = wanted if isinstance(wanted, range) else set(wanted)
        good = [
            (position, result)
            for index, (position, result) in enumerate(zip(positions, results, strict=True), first)
            if index not in reports and position in is_wanted
        ]
        finished = [position for position, _ in good]
        return finished, self.ids_at(finished), [result for _, result in good]

    def note(self, positions: Sequence[int], slave: SlaveInfo, report: m.Report, last_lines: str = "") -> None:
        """Something happened to all of these items."""
        trouble = Trouble(slave, report, last_lines)
        for position in positions:
            self._trouble[position] = trouble

    def settle(self, positions: Iterable[int]) -> None:
        """These items have a result: what had happened to them before does not matter any more."""
        if self._trouble:
            for position in positions:
                self._trouble.pop(position, None)

    def error(self, command: GiveUp) -> ItemError:
        """What is kept of an item that is given up."""
        trouble = self._trouble.pop(command.position, None)
        id = self._ids[command.position]
        if trouble is None:
            return ItemError(command.cause.value, id=id, tries=command.tries)
        what, text, traceback, payload = trouble.report
        if command.cause is Cause.OUT_OF_TIME:
            text = outlasted_words(trouble.slave)
        is_late = command.cause in (Cause.TIMEOUT, Cause.OUT_OF_TIME)
        kind = ItemTimeout if is_late else _KINDS.get((command.cause, what), ItemRaised)
        error = kind(
            text,
            id=id,
            host=trouble.slave.host,
            nickname=trouble.slave.nickname,
            tries=command.tries,
            remote_traceback=traceback,
            output=trouble.last_lines,
        )
        error.__cause__ = _decoded(payload)
        return error


_KINDS: dict[tuple[Cause, str], type[ItemError]] = {
    (Cause.RAISED, m.REPORT_RAISED): ItemRaised,
    (Cause.RAISED, m.REPORT_RESULT): ItemResultError,
    (Cause.KILLED_SLAVE, m.REPORT_DIED): ItemKilledSlave,
    (Cause.UNSENDABLE, m.REPORT_RESULT): ItemResultError,
}


def _are_in(positions: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether all of them are wanted, where that is seen without looking at each."""
    are_ranges = isinstance(positions, range) and isinstance(wanted, range)
    return are_ranges and len(positions) > 0 and positions[0] in wanted and positions[-1] in wanted


def death_report(how: str, reason: str) -> m.Report:
    """What is said of an item whose slave has ended: by itself, or for this reason of the scheduler's.

    >>> death_report("killed by SIGKILL", "an item took longer than 2 s")[1]
    'took longer than 2 s: its slave was ended'
    """
    about_item = reason.removeprefix("an item ").removeprefix("a job ")
    words = f"{about_item}: its slave was ended" if reason else f"its slave {was(how)}"
    return m.REPORT_DIED, words, "", None


def unreadable_report(error: BaseException) -> m.Report:
    """What is said of an item whose result came, but cannot be made here."""
    return m.REPORT_RESULT, f"its result cannot be read here: {type(error).__name__}: {error}", "", None


def _decoded(payload: codec.Payload | None) -> BaseException | None:
    """The remote exception itself, where it can be made here."""
    if payload is None:
        return None
    try:
        error = codec.decode(payload)
    except BaseException:  # noqa: BLE001  (its class may raise anything; the traceback text says it all)
        return None
    return error if isinstance(error, BaseException) else None
