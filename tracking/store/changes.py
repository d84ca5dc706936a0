"""Which of the recorded results were made with other code, or with other values, than this run has.

Code is compared run by run, values item by item, by the digests beside the results. A file of version 1 has no such
digests; it has one fingerprint of all values together, so there all results of a run count as changed, or none.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import NamedTuple, TypeVar

from tracking.errors import StoreError
from tracking.store.fingerprints import Fingerprints

DIGEST_BYTES = 8
UNKNOWN = bytes.fromhex("a73f1355e9c80b64")
"""Stands for the digest of a value that has none."""

KEEP, RECOMPUTE, REFUSE = "keep", "recompute", "refuse"
CODE, VALUE = "other code", "another value"
_SHOWN = 3

T = TypeVar("T")

GiveDigests = Callable[[Sequence[Hashable]], bytes | None]


@dataclass(frozen=True, slots=True)
class Made:
    """What the results of this run are made with.

    Attributes:
        code: its fingerprint.
        give_digests: of the values of some ids, ``DIGEST_BYTES`` each; None if they are unknown.
        give_values: the fingerprint of all values together, '' if unknown; asked for only if an old file needs it.
    """

    code: Fingerprints
    give_digests: GiveDigests
    give_values: Callable[[], str]


class Changed(NamedTuple):
    """Results of one job that were made otherwise.

    Attributes:
        items: their numbers.
        positions: of the items in the file's list of ids.
        ids: theirs.
        why: 'other code', 'another value', or both.
    """

    items: Sequence[int]
    positions: Sequence[int]
    ids: Sequence[Hashable]
    why: str


@dataclass(slots=True)
class Changes:
    """How the results in a file differ from those that this run will make; no object for each of them.

    Attributes:
        parts: those that differ, job by job.
        n: how many they are.
        code, values: whether any was made with other code, or other values.
        runs: the numbers of the runs that made them.
    """

    parts: list[Changed] = field(default_factory=list)
    n: int = 0
    code: bool = False
    values: bool = False
    runs: set[int] = field(default_factory=set)

    def add(self, run: int, results: Results, *, code: bool, value: bool) -> None:
        """Note some of one job."""
        if results.items and (code or value):
            why = " and ".join([*([CODE] if code else []), *([VALUE] if value else [])])
            self.parts.append(Changed(*results, why))
            self.n += len(results.items)
            self.code |= code
            self.values |= value
            self.runs.add(run)

    @property
    def ids(self) -> list[Hashable]:
        """The ids of all of them."""
        return [id for part in self.parts for id in part.ids]

    @property
    def items(self) -> Iterator[tuple[int, str]]:
        """(number, why) of each."""
        return ((item, part.why) for part in self.parts for item in part.items)

    def shown(self) -> str:
        """The first few ids, for people."""
        first = islice((id for part in self.parts for id in part.ids), _SHOWN)
        return ", ".join(map(repr, first)) + (", ..." if self.n > _SHOWN else "")


class Results(NamedTuple):
    """Results of one job that count; see ``Changed``."""

    items: Sequence[int]
    positions: Sequence[int]
    ids: Sequence[Hashable]

    def at(self, places: Sequence[int]) -> Results:
        """Some of them."""
        return Results(_some(self.items, places), _some(self.positions, places), _some(self.ids, places))


class Comparison:
    """Compares recorded jobs with what this run has.

    Args:
        made: what this run has.
        runs: {number: its fingerprints} of the runs in the file.
    """

    def __init__(self, made: Made, runs: dict[int, Fingerprints]) -> None:
        self.changes = Changes()
        self._made = made
        self._runs = runs
        self._has_other_code = {run: before.has_other_code(made.code) for run, before in runs.items()}
        self._all_values: Fingerprints | None = None

    def look_at(self, run: int, digests: bytes | None, first: int, results: Results) -> None:
        """Compare the results of one job.

        Args:
            run: that recorded them.
            digests: as recorded with the job, from the item ``first`` on.
            results: those that count.
        """
        code = self._has_other_code.get(run, False)
        others = self._other_values(run, digests, first, results)
        if len(others) in (0, len(results.items)):
            self.changes.add(run, results, code=code, value=bool(others))
            return
        for is_other, places in groupby(range(len(results.items)), set(others).__contains__):
            self.changes.add(run, results.at(list(places)), code=code, value=is_other)

    def look_at_code(self, run: int, results: Results) -> None:
        """Compare only the code that these were made with."""
        self.changes.add(run, results, code=self._has_other_code.get(run, False), value=False)

    def _other_values(self, run: int, digests: bytes | None, first: int, results: Results) -> Sequence[int]:
        """The places of those that were made with another value."""
        if digests is None:
            return range(len(results.items) if self._has_other_values(run) else 0)
        now = self._made.give_digests(results.ids)
        if now is None or now == digests:
            return ()
        return [
            place
            for place, item in enumerate(results.items)
            if _differ(_one(digests, item - first), _one(now, place))
        ]

    def _has_other_values(self, run: int) -> bool:
        """Whether this run of a file of version 1 had others."""
        before = self._runs.get(run)
        if before is None or not before.values:
            return False
        if self._all_values is None:
            self._all_values = Fingerprints("", self._made.give_values())
        return before.has_other_values(self._all_values)


def one_digest(digests: bytes | None, place: int) -> bytes | None:
    """Give the digest at this place, None if it is unknown."""
    found = _one(digests or b"", place)
    return found if len(found) == DIGEST_BYTES and found != UNKNOWN else None


def refusal_of_changes(name: str, changes: Changes) -> StoreError:
    """Say why a calculation is not gone on with.

    Args:
        name: of the file.
    """
    n = changes.n
    runs = ", ".join(map(str, sorted(changes.runs)))
    return StoreError(
        f"{name} holds {n} result{'s' if n != 1 else ''} that {'were' if n != 1 else 'was'} made with "
        f"{made_with(changes)} (items {changes.shown()}; recorded by run {runs}), and on_change is 'refuse': nothing "
        f"was started and nothing changed. Go back to what they were made with, or give on_change='recompute' to "
        f"compute {'them' if n != 1 else 'it'} anew, on_change='keep' to keep {'them' if n != 1 else 'it'}, or another "
        f"file"
    )


def made_with(changes: Changes) -> str:
    """Say what is other: 'other code', 'other values' or both."""
    return " and ".join([*(["other code"] if changes.code else []), *(["other values"] if changes.values else [])])


def _some(column: Sequence[T], places: Sequence[int]) -> list[T]:
    return [column[place] for place in places]


def _one(digests: bytes, place: int) -> bytes:
    return digests[DIGEST_BYTES * place : DIGEST_BYTES * (place + 1)]


def _differ(one: bytes, other: bytes) -> bool:
    return one != other and UNKNOWN not in (one, other) and len(one) == len(other) == DIGEST_BYTES
