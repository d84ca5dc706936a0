"""Which of the recorded results were made with other code, or with other values, than this run has.

Code is compared run by run, values item by item, by the digests beside the results. A file of version 1 has no such
digests; it has one fingerprint of all values together, so there all results of a run count as changed, or none.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field

from tracking.errors import StoreError
from tracking.store.fingerprints import Fingerprints

DIGEST_BYTES = 8
UNKNOWN = bytes.fromhex("a73f1355e9c80b64")
"""Stands for the digest of a value that has none."""

KEEP, RECOMPUTE, REFUSE = "keep", "recompute", "refuse"
CODE, VALUE = "other code", "another value"

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


@dataclass(slots=True)
class Changes:
    """How the results in a file differ from those that this run will make.

    Attributes:
        items: {number of its row: why} of each result that differs.
        ids: of these items.
        code, values: whether any was made with other code, or other values.
        runs: the numbers of the runs that made them.
    """

    items: dict[int, str] = field(default_factory=dict)
    ids: list[Hashable] = field(default_factory=list)
    code: bool = False
    values: bool = False
    runs: set[int] = field(default_factory=set)

    def add(self, item: int, id: Hashable, run: int, *, code: bool, value: bool) -> None:
        """Note one result."""
        self.items[item] = " and ".join([*([CODE] if code else []), *([VALUE] if value else [])])
        self.ids.append(id)
        self.code |= code
        self.values |= value
        self.runs.add(run)


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

    def look_at(
        self, run: int, digests: bytes | None, first: int, items: Sequence[int], ids: Sequence[Hashable]
    ) -> None:
        """Compare the results of one job.

        Args:
            run: that recorded them.
            digests: as recorded with the job, from the item ``first`` on.
            items: their numbers.
            ids: theirs.
        """
        has_other_code = self._has_other_code.get(run, False)
        for place, is_other in enumerate(self._have_other_values(run, digests, first, items, ids)):
            if is_other or has_other_code:
                self.changes.add(items[place], ids[place], run, code=has_other_code, value=is_other)

    def _have_other_values(
        self, run: int, digests: bytes | None, first: int, items: Sequence[int], ids: Sequence[Hashable]
    ) -> Iterator[bool]:
        if digests is None:
            yield from [self._has_other_values(run)] * len(items)
            return
        now = self._made.give_digests(ids)
        if now is None or now == digests:
            yield from [False] * len(items)
            return
        for place, item in enumerate(items):
            yield _differ(_one(digests, item - first), _one(now, place))

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
    n = len(changes.ids)
    shown = ", ".join(map(repr, changes.ids[:3])) + (", ..." if n > 3 else "")
    runs = ", ".join(map(str, sorted(changes.runs)))
    return StoreError(
        f"{name} holds {n} result{'s' if n != 1 else ''} that {'were' if n != 1 else 'was'} made with "
        f"{made_with(changes)} (items {shown}; recorded by run {runs}), and on_change is 'refuse': nothing was started "
        f"and nothing changed. Go back to what they were made with, or give on_change='recompute' to compute "
        f"{'them' if n != 1 else 'it'} anew, on_change='keep' to keep {'them' if n != 1 else 'it'}, or another file"
    )


def made_with(changes: Changes) -> str:
    """Say what is other: 'other code', 'other values' or both."""
    return " and ".join([*(["other code"] if changes.code else []), *(["other values"] if changes.values else [])])


def _one(digests: bytes, place: int) -> bytes:
    return digests[DIGEST_BYTES * place : DIGEST_BYTES * (place + 1)]


def _differ(one: bytes, other: bytes) -> bool:
    return one != other and UNKNOWN not in (one, other) and len(one) == len(other) == DIGEST_BYTES
