"""Data that is made when it is needed, so that there may be more of it than fits in memory.

::

    LazyMapping       ids: a range, or another sequence    value(id) makes a value, each time one is asked for
    IteratorMapping   ids: 0, 1, 2 ...                     the next value of an iterator; kept until its item is done

Both are read-only mappings {id: value}, as the data of a master. No list of ids is made of a range, so an item costs
nothing here until its turn comes. Used by the thread of the master.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from tracking.core.items import Items
from tracking.errors import InputError

K = TypeVar("K")
V = TypeVar("V")


class LazyMapping(Mapping[K, V]):
    """A mapping whose values are made when they are asked for, and not kept.

    Example:
        >>> squares = LazyMapping(range(10_000_000), lambda n: n * n)
        >>> squares[5], len(squares), 10_000_000 in squares
        (25, 10000000, False)

    Args:
        ids: in their order, each once: a ``range``, or another sequence that can be sliced. A list is kept as it is.
        value: makes the value of an id; called in the thread of the master, once for each time an item is sent. What
            it raises ends the calculation.

    Raises:
        InputError: one of them cannot be; says what is expected.
    """

    def __init__(self, ids: Sequence[K], value: Callable[[K], V]) -> None:
        if not isinstance(ids, Sequence) or isinstance(ids, str | bytes):
            raise InputError(f"ids must be a range or another sequence, not of type {type(ids).__name__}")
        if not callable(value):
            raise InputError(f"value must be a function that makes the value of an id, not {value!r}")
        if not isinstance(ids, range):
            _check_each_is_once(ids)
        self.ids = ids
        self.value = value
        self._known: Container[object] | None = ids if isinstance(ids, range) else None  # made when it is needed

    def __getitem__(self, id: K) -> V:
        if id not in self:
            raise KeyError(id)
        return self.value(id)

    def __contains__(self, id: object) -> bool:
        if self._known is None:
            self._known = frozenset(self.ids)
        return id in self._known

    def __iter__(self) -> Iterator[K]:
        return iter(self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.ids, self.value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({_shown(self.ids)}, {self.value!r})"


class IteratorMapping(Mapping[int, Any]):
    """The values of an iterator as a mapping {0: the first, 1: the second, ...}; each is taken from it only once.

    A value is taken when its item is sent for the first time, and kept until that item is finished: it may have to be
    computed again. Of items that are finished when the calculation begins, because a run file holds their results, the
    values are taken and let go of.

    Example:
        >>> lines = IteratorMapping((line.split() for line in ["a 1", "b 2"]), length=2)
        >>> lines[1], dict(lines)
        (['b', '2'], {0: ['a', '1'], 1: ['b', '2']})

    Args:
        values: an iterator or anything that can be iterated over; the same values in each run that goes on with a
            run file.
        length: how many values there are; what the iterator has beyond them is not taken.

    Raises:
        InputError: one of them cannot be; or, later, there are fewer values.
    """

    def __init__(self, values: Iterable[Any], length: int) -> None:
        if not isinstance(values, Iterable):
            raise InputError(f"values must be an iterator or another iterable, not of type {type(values).__name__}")
        if isinstance(length, bool) or not isinstance(length, int) or length < 0:
            raise InputError(f"length must be the number of values, not {length!r}")
        self.ids = range(length)
        self._values = iter(values)
        self._n_taken = 0
        self._kept: dict[int, Any] = {}
        self._most_kept = 0
        self._unfinished: Callable[[Sequence[int]], Sequence[int]] = lambda positions: positions

    def __getitem__(self, id: int) -> Any:
        if id not in self.ids:
            raise KeyError(id)
        if id >= self._n_taken:
            self._take_until(id)
        try:
            return self._kept[id]
        except KeyError:
            raise KeyError(f"the value of item {id!r} is not kept any more: the item was finished") from None

    def _take_until(self, id: int) -> None:
        """Take the values up to this one; it is kept, and those of unfinished items are."""
        self._let_go()
        positions = range(self._n_taken, id + 1)
        wanted, n_kept = self._unfinished(positions), len(self._kept)
        if len(wanted) == len(positions):
            self._kept.update(zip(positions, self._values, strict=False))
            self._n_taken += len(self._kept) - n_kept
        else:
            self._take_some(positions, {*wanted, id})
        if self._n_taken <= id:
            raise InputError(f"the iterator ended after {self._n_taken} values: {len(self.ids)} were announced")

    def _take_some(self, positions: range, wanted: set[int]) -> None:
        """None of the others is held for longer than a moment."""
        for position, value in zip(positions, self._values, strict=False):
            self._n_taken += 1
            if position in wanted:
                self._kept[position] = value

    def _let_go(self) -> None:
        """Keep nothing of finished items; looked at when the kept have doubled, so it costs little each time."""
        if len(self._kept) > self._most_kept:
            self._kept = {id: self._kept[id] for id in self._unfinished(list(self._kept))}
            self._most_kept = 2 * len(self._kept)

    def _tr_keep_until(self, unfinished: Callable[[Sequence[int]], Sequence[int]]) -> None:
        """The calculation that begins says which of some positions are unfinished: other values need not be kept."""
        self._unfinished = unfinished

    def __contains__(self, id: object) -> bool:
        return id in self.ids

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("an IteratorMapping cannot be pickled: each value is taken from its iterator only once")

    def __iter__(self) -> Iterator[int]:
        return iter(self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._values!r}, {len(self.ids)})"


def keep_while_wanted(data: Mapping[Any, Any], items: Items) -> None:
    """The calculation that begins knows which items are finished: the values of an iterator are kept until then."""
    if isinstance(data, IteratorMapping):
        data._tr_keep_until(items.unfinished)
        items.are_in_order = True


def values_of(data: Mapping[Any, Any], ids: Sequence[Any]) -> list[Any]:
    """The values of these ids, which the data has. What making one raises tells of which item it was to be."""
    get = data.value if type(data) is LazyMapping else data.__getitem__
    if isinstance(data, IteratorMapping) and ids:
        data[max(ids)]  # all at once
    values: list[Any] = []
    try:
        values.extend(map(get, ids))
    except Exception as error:
        error.add_note(f"while the value of item {ids[len(values)]!r} was made")
        raise
    return values


def _check_each_is_once(ids: Sequence[Any]) -> None:
    try:
        n_different = len(set(ids))
    except TypeError as error:
        raise InputError(f"ids must be hashable: {error}") from None
    if n_different != len(ids):
        twice = next(id for id, n in Counter(ids).items() if n > 1)
        raise InputError(f"ids must be different from each other: {twice!r} is there more than once")


def _shown(ids: Sequence[Any]) -> str:
    return repr(ids) if isinstance(ids, range) or len(ids) < 5 else f"<{len(ids)} ids>"
