"""What is known of a calculation, for those who ask why. Times are seconds since 1970 unless a name ends in ``_s``."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

MOST_SLAVES = 200  # that are told one by one
_LONGEST_IDS = 100  # characters

# Kinds of things that happened, as they are noted in a run file (that a job was given out only where it is not).
GIVEN = "given"
LOST = "lost"  # a slave died or was ended, with the items of its jobs
FAILED = "failed"  # a job, or an item in it, failed and is tried again
TIMED_OUT = "timed out"
GIVEN_UP = "given up"  # an item failed for good
COPIED = "copied"  # items were given to a second slave while a first still had them
RECALLED = "recalled"  # items that had not begun were taken back
SILENT, HEARD = "silent", "heard"  # a slave
SLAVE_UP, SLAVE_ENDED = "slave up", "slave ended"  # later than the first ones; on purpose
ENDED = "ended"  # the calculation, with an error
PROBATION, LEFT_OUT, DISABLED, ENABLED = "probation", "left out", "disabled", "enabled"  # a host
KINDS = frozenset(
    {GIVEN, LOST, FAILED, TIMED_OUT, GIVEN_UP, COPIED, RECALLED, SILENT, HEARD, SLAVE_UP, SLAVE_ENDED}
    | {ENDED, PROBATION, LEFT_OUT, DISABLED, ENABLED}
)  # fmt: skip


class SlaveFact(NamedTuple):
    """What one slave is doing.

    Attributes:
        state: 'starting', 'idle', 'working' or 'silent'.
        since: when it began with that; 'working': with the item that it is at, as far as that is known.
        items: the ids of what it works on, as text (``shown_ids``); '' if nothing.
        n_items: how many these are.
    """

    nickname: str
    host: str
    state: str
    since: float
    items: str = ""
    n_items: int = 0


class HostFact(NamedTuple):
    """A host that gives trouble.

    Attributes:
        state: 'on probation', 'left out', 'disabled', or 'waiting' (for the next try to start a slave).
        reason: why, in words.
        next_try: when a slave is started there again, None: it is not.
    """

    host: str
    state: str
    reason: str
    next_try: float | None = None


class Now(NamedTuple):
    """What goes on.

    Attributes:
        at: when that was so.
        slaves: all there are, the starting ones too; for very many those that are at it longest.
        hosts: those with troubles.
        item_s: what an item takes, in seconds; None: unknown.
        item_timeout_s: what an item may take, None: any time.
        problem: why the run file cannot be written, '' if it can.
        n_waiting: items that nobody has been given yet, or that wait to be tried again.
        waiting: what else is waited for, in words.
    """

    at: float
    n_items: int
    n_finished: int
    n_failed: int
    slaves: tuple[SlaveFact, ...] = ()
    hosts: tuple[HostFact, ...] = ()
    item_s: float | None = None
    item_timeout_s: float | None = None
    problem: str = ""
    n_waiting: int = 0
    waiting: tuple[str, ...] = ()

    def to_json(self) -> str:
        """As it is kept in a run file."""
        import json  # kinds of things are known without it

        slaves = self.slaves
        if len(slaves) > MOST_SLAVES:
            slaves = tuple(sorted(slaves, key=lambda slave: (slave.state == "idle", slave.since))[:MOST_SLAVES])
        fields = self._replace(slaves=slaves)._asdict()
        fields["slaves"] = [slave._asdict() for slave in slaves]
        fields["hosts"] = [host._asdict() for host in self.hosts]
        return json.dumps(fields)

    @staticmethod
    def from_json(text: str) -> Now:
        """What was kept; fields that another version has beside ours are passed over.

        Raises:
            ValueError: it is something else.
        """
        import json

        try:
            fields: dict[str, Any] = _known(Now, json.loads(text))
            fields["slaves"] = tuple(SlaveFact(**_known(SlaveFact, slave)) for slave in fields.get("slaves", ()))
            fields["hosts"] = tuple(HostFact(**_known(HostFact, host)) for host in fields.get("hosts", ()))
            return Now(**fields | {"waiting": tuple(fields.get("waiting", ()))})
        except (TypeError, AttributeError) as exc:
            raise ValueError(f"this says nothing of what goes on: {exc}") from exc


class ItemEvent(NamedTuple):
    """Something that happened to an item, or to the slave that had it."""

    at: float
    kind: str
    words: str
    host: str = ""
    nickname: str = ""
    n_items: int = 1


class ItemResult(NamedTuple):
    """A result of the item: by whom and in what time.

    Attributes:
        at: when it was recorded.
        given_at, seconds: when its job was given out, and how long that was worked on.
        n_items: how many items the job had.
        run: the number of the run that recorded it.
        outdated, outdated_at: why it does not count any more, and since when; '' and None if it counts.
        digest: of the value that it was made with, as hex, '' if unknown.
        code: of the code, likewise.
    """

    at: float
    given_at: float
    seconds: float
    host: str
    nickname: str
    n_items: int
    run: int = 1
    outdated: str = ""
    outdated_at: float | None = None
    digest: str = ""
    code: str = ""


class ItemError(NamedTuple):
    """Why the item failed."""

    at: float
    message: str
    host: str
    nickname: str
    tries: int
    traceback: str = ""


class Run(NamedTuple):
    """One master that worked on the calculation.

    Attributes:
        state: 'running', 'interrupted', 'finished' or 'failed'; 'gone': it ended without a word.
        ended_at: None: it runs, or ended without a word.
        alive_at: its last sign of life.
    """

    run: int
    host: str
    pid: int
    state: str
    started_at: float
    ended_at: float | None
    alive_at: float


class ItemFacts(NamedTuple):
    """All that is known of one item.

    Attributes:
        at: when it was asked.
        id: the item.
        state: 'waiting', 'active', 'finished' or 'failed'.
        place: its place in the order of the data, from 1 on; of how many.
        runs: the runs, the oldest first.
        lacks_events: older events were dropped.
        holders: the slaves that have it now.
    """

    at: float
    id: Hashable
    state: str
    place: int
    n_items: int
    runs: tuple[Run, ...] = ()
    events: tuple[ItemEvent, ...] = ()
    results: tuple[ItemResult, ...] = ()
    error: ItemError | None = None
    lacks_events: bool = False
    holders: tuple[SlaveFact, ...] = ()


class Present(NamedTuple):
    """How a calculation stands, and what goes on in it.

    Attributes:
        at: when it was asked.
        state: 'running', 'interrupted', 'finished' or 'failed'.
        run: the last master that worked on it; None: it has not begun.
        now: what goes on, None if nobody said so.
        go_on: how to go on with it, such as a command; '' if unknown.
        error: with which the last master ended, '' if with none.
    """

    at: float
    n_items: int
    n_finished: int
    n_failed: int
    state: str
    run: Run | None = None
    now: Now | None = None
    go_on: str = ""
    error: str = ""


def shown_ids(ids: Sequence[Hashable], most: int = 3) -> str:
    """The first ids as text of bounded length: ``'a', 'b', 'c', ...``."""
    texts = [text if len(text := repr(id)) <= _LONGEST_IDS else text[: _LONGEST_IDS - 3] + "..." for id in ids[:most]]
    return ", ".join(texts) + (", ..." if len(ids) > most else "")


def _known(kind: Any, fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name in kind._fields}
