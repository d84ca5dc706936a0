"""The states of many items, by position, in one byte each.

A byte is 0 for an item that is not started, n for one that is active and was given out n times, and
``_FINISHED``. What can be done with a whole run of items is done on slices of these bytes, so ten million
items cost ten megabytes and no Python object each.

Not-started items are found in two places: those that were given back (``_requeued``, first), and all
others behind ``_cursor``. Active items that were given out once lie between ``_once_from`` and
``_cursor``; those given out more often (or once, but again) are in ``_levels``, by their count. All three
are only hints where to look: the bytes are the truth, and a hint that has become wrong is skipped once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from tracking.core.runs import as_runs, grouped, is_run, joined, merged

_FRESH = 0
_MOST_OFTEN = 250  # stands for itself and all above
_FINISHED = 255
_FRESH_BYTE = bytes([_FRESH])
_ONCE_BYTE = b"\x01"
_FINISHED_BYTE = bytes([_FINISHED])
_ONCE_MORE = bytes(n + 1 if n < _MOST_OFTEN else n for n in range(256))
_MANY_HINTS = 64


class Items:
    """Which of n items are not started, active (and how often given out) and finished.

    Every operation costs the same at ten items and at ten million; with a ``range`` of items it costs
    about the same as with one.

    Args:
        count: how many items there are; all are not started.

    Attributes:
        are_in_order: their values can be had one after the other only: none is given out long before its turn.

    >>> items = Items(5)
    >>> items.take(2), items.take(2)
    (range(0, 2), range(2, 4))
    >>> items.finish(range(0, 2))
    2
    >>> items.release([3])
    >>> items.take(2), items.count_active
    (range(3, 5), 3)
    """

    def __init__(self, count: int = 0) -> None:
        self._states = bytearray(count)
        self.count_not_started = count  # read only; asked so often that it is no property
        self.are_in_order = False
        self._finished = 0
        self._cursor = 0
        self._requeued: deque[range] = deque()
        self._once_from = 0
        self._levels: dict[int, deque[range]] = {}
        self._hints = 0  # entries in _levels

    # --- what there is

    def __len__(self) -> int:
        return len(self._states)

    @property
    def count_active(self) -> int:
        """How many items are given out and not finished."""
        return len(self._states) - self.count_not_started - self._finished

    @property
    def count_finished(self) -> int:
        """How many items are finished."""
        return self._finished

    @property
    def is_done(self) -> bool:
        """True when every item is finished."""
        return self._finished == len(self._states)

    def count(self, position: int) -> int | None:
        """The state of one item: None not started, n active and given out n times (up to 250), 0 finished."""
        state = self._states[position]
        return None if state == _FRESH else 0 if state == _FINISHED else state

    def states(self) -> Iterator[int | None]:
        """What ``count`` says of each item, by position."""
        meaning: list[int | None] = [None, *range(1, _FINISHED), 0]
        return map(meaning.__getitem__, bytes(self._states))

    @property
    def has_queued(self) -> bool:
        """False when ``take`` has certainly nothing to give."""
        return self._cursor < len(self._states) or bool(self._requeued)

    def has_started(self, position: int) -> bool:
        """True when ``take`` has come as far as this position, so all items before it have had their turn."""
        return self._cursor >= position

    def not_started(self) -> Iterator[int]:
        """The items not started: those given back first, then by position."""
        again = dict.fromkeys(p for run in self._requeued for p in run if self._states[p] == _FRESH)
        yield from again
        yield from (position for position in self._all_in(_FRESH) if position not in again)

    def queued(self) -> Iterator[int]:
        """The items not started that ``take`` will give out, in no particular order."""
        given_back = dict.fromkeys(position for run in self._requeued for position in run)
        yield from (p for p in given_back if self._states[p] == _FRESH)
        yield from (p for p in self._all_in(_FRESH, self._cursor) if p not in given_back)

    def active(self) -> Iterator[int]:
        """The active items, the least often given out first."""
        for state in sorted(set(self._states) - {_FRESH, _FINISHED}):
            yield from self._all_in(state)

    def not_done(self) -> Iterator[int]:
        """All items but the finished ones: not started first, then the least often given out."""
        return chain(self.not_started(), self.active())

    def finished(self) -> Iterator[int]:
        """The finished items, by position."""
        return self._all_in(_FINISHED)

    def unfinished(self, positions: Sequence[int]) -> Sequence[int]:
        """Those of ``positions`` that are not finished; a range wherever they follow each other."""
        if len(positions) == 1:
            return () if self._states[positions[0]] == _FINISHED else positions
        if not is_run(positions):
            return tuple(p for p in positions if self._states[p] != _FINISHED)
        states = self._states[positions[0] : positions[-1] + 1]
        rest = states.lstrip(_FINISHED_BYTE)
        first = positions[0] + len(states) - len(rest)
        rest = rest.rstrip(_FINISHED_BYTE)
        if _FINISHED not in rest:
            return range(first, first + len(rest))
        return tuple(p for p, state in enumerate(rest, first) if state != _FINISHED)

    def are_unfinished(self, positions: Iterable[int]) -> bool:
        """Whether none of them is finished."""
        return _FINISHED not in map(self._states.__getitem__, positions)

    def most_given(self, positions: Iterable[int]) -> int:
        """How often that of these items was given out that was so most often; a high number if one is finished."""
        return max(map(self._states.__getitem__, positions), default=0)

    # --- giving out

    def take(self, n: int) -> Sequence[int]:
        """Give out the next not-started items, at most ``n``; a range wherever they follow each other."""
        first = self._next_run(n)
        if len(first) == n or not first:
            return first
        runs = [first]
        missing = n - len(first)
        while missing and (run := self._next_run(missing)):
            runs.append(run)
            missing -= len(run)
        return joined(runs)

    def take_apart(self) -> Sequence[int]:
        """Give out one item that ``take`` would give out, far from all others that were given out; () if there is none.

        It is from the middle of the longest run, so that the next one will be far from this one, too.
        """
        if self.are_in_order:
            return self.take(1)
        self._requeued = deque(merged(self._requeued))
        while self.has_queued:
            rest = range(self._cursor, len(self._states))
            run = max([rest, *self._requeued], key=len)
            middle = (run.start + run.stop) // 2
            one = self._fresh_run(middle, run.stop, 1) or self._fresh_run(run.start, middle, 1)
            end = one.stop if one else run.stop
            parts = [range(run.start, one.start)] if one else []
            if run is rest:
                self._cursor = end
            else:
                self._requeued.remove(run)
                parts.append(range(end, run.stop))
            self._requeued += filter(None, parts)
            if one:
                return self._mark_once(one)
        return ()

    def take_these(self, positions: Sequence[int]) -> Sequence[int]:
        """Give out those of ``positions`` that are not started (they had been set aside)."""
        fresh = [run for asked in as_runs(positions) for run in self._fresh_runs(asked)]
        for run in fresh:
            self._mark_once(run)
        return joined(fresh) if fresh else ()

    def take_again(self, positions: Sequence[int]) -> None:
        """Give out active items once more (a spare copy)."""
        for run in as_runs(positions):
            states = self._states[run.start : run.stop]
            self._states[run.start : run.stop] = states.translate(_ONCE_MORE)
            for state in set(states) - {_FRESH, _FINISHED}:
                self._hint(_ONCE_MORE[state], run)

    def next_chunk(self, n: int, redistribute: bool = True) -> Sequence[int]:
        """Give out the next items, at most ``n``.

        Args:
            n: how many at most.
            redistribute: when no item is left that is not started, give out active ones once more,
                the least often given out first.
        """
        positions = self.take(n)
        if positions or not redistribute:
            return positions
        least: dict[int, None] = {}
        wanted = min(n, self.count_active)
        while len(least) < wanted:
            least[self._pop_least()] = None
        positions = tuple(least)
        self.take_again(positions)
        return positions

    # --- taking back

    def finish_one(self, position: int) -> int:
        """Mark one item as finished; returns 1, or 0 if it was already."""
        state = self._states[position]
        if state == _FINISHED:
            return 0
        if state == _FRESH:
            self.count_not_started -= 1
        self._states[position] = _FINISHED
        self._finished += 1
        if position == self._once_from:
            self._once_from += 1
        return 1

    def finish(self, positions: Sequence[int]) -> int:
        """Mark items as finished; returns how many of them were not finished before."""
        if len(positions) == 1 or not is_run(positions):
            return sum(map(self.finish_one, positions))
        start, stop = positions[0], positions[-1] + 1
        states = self._states[start:stop]
        newly = stop - start - states.count(_FINISHED)
        self.count_not_started -= states.count(_FRESH)
        self._states[start:stop] = _FINISHED_BYTE * (stop - start)
        self._finished += newly
        if start <= self._once_from < stop:
            self._once_from = stop
        return newly

    def finish_all(self, parts: Iterable[Sequence[int]]) -> None:
        """Mark the items of many jobs as finished; the faster the more of them follow each other."""
        for run in grouped(chain.from_iterable(parts)):
            self.finish(run)

    def release(self, positions: Sequence[int], *, set_aside: bool = False) -> None:
        """Make active items not started again.

        Args:
            positions: the items; those that are not active stay what they are.
            set_aside: ``take`` is not to give them out (``take_these`` will); else they are its next ones.
        """
        for run in reversed(as_runs(positions)):
            states = self._states[run.start : run.stop]
            untouched = states.count(_FRESH) + states.count(_FINISHED)
            if untouched:
                self._release_some(run, set_aside)
                continue
            self._states[run.start : run.stop] = bytes(len(run))
            self.count_not_started += len(run)
            if not set_aside:
                self._requeued.appendleft(run)

    def add(self, count: int) -> None:
        """Add ``count`` items, not started, behind the last one."""
        self._states.extend(bytes(count))
        self.count_not_started += count

    def set_state(self, position: int, state: int | None) -> None:
        """Say what one item is: None not started, n active and given out n times, 0 finished."""
        if state == 0:
            self.finish_one(position)
            return
        old = self._states[position]
        new = _FRESH if state is None else min(state, _MOST_OFTEN)
        self._states[position] = new
        self._finished -= old == _FINISHED
        self.count_not_started += (new == _FRESH) - (old == _FRESH)
        if new != _FRESH:
            self._hint(new, range(position, position + 1))
        elif position < self._cursor:
            self._requeued.append(range(position, position + 1))

    # --- inside

    def _all_in(self, state: int, start: int = 0) -> Iterator[int]:
        position = self._states.find(state, start)
        while position >= 0:
            yield position
            position = self._states.find(state, position + 1)

    def _next_run(self, most: int) -> range:
        """Give out the next not-started items that follow each other."""
        while self._requeued:
            waiting = self._requeued.popleft()
            run = self._fresh_run(waiting.start, waiting.stop, most)
            if run:
                if run.stop < waiting.stop:
                    self._requeued.appendleft(range(run.stop, waiting.stop))
                return self._mark_once(run)
        run = self._fresh_run(self._cursor, len(self._states), most)
        self._cursor = run.stop
        return self._mark_once(run)

    def _fresh_run(self, start: int, stop: int, most: int) -> range:
        """The first not-started items in a row from start on, at most so many; none: an empty range."""
        first = self._states.find(_FRESH, start, stop)
        if first < 0:
            return range(stop, stop)
        end = min(first + most, stop)
        if end == first + 1:
            return range(first, end)
        states = self._states[first:end]
        return range(first, end - len(states.lstrip(_FRESH_BYTE)))

    def _fresh_runs(self, run: range) -> Iterator[range]:
        while run:
            fresh = self._fresh_run(run.start, run.stop, len(run))
            if fresh:
                yield fresh
            run = range(fresh.stop, run.stop)

    def _mark_once(self, run: range) -> range:
        count = len(run)
        self._states[run.start : run.stop] = _ONCE_BYTE * count
        self.count_not_started -= count
        if run.start < self._once_from or run.stop > self._cursor:
            self._hint(1, run)
        return run

    def _release_some(self, run: range, set_aside: bool) -> None:
        for position in reversed(run):
            if self._states[position] not in (_FRESH, _FINISHED):
                self.release(range(position, position + 1), set_aside=set_aside)

    def _hint(self, level: int, run: range) -> None:
        """Remember that items of this run have just been given out for the ``level``-th time."""
        self._levels.setdefault(level, deque()).append(run)
        self._hints += 1
        if self._hints > _MANY_HINTS + 2 * self.count_active:
            self._drop_wrong_hints()

    def _drop_wrong_hints(self) -> None:
        for level, runs in list(self._levels.items()):
            found = dict.fromkeys(run for run in runs if self._states.find(level, run.start, run.stop) >= 0)
            self._levels[level] = deque(found)
        self._hints = sum(map(len, self._levels.values()))

    def _pop_least(self) -> int:
        """One of the active items that were least often given out; its hint is used up."""
        position = self._states.find(1, self._once_from, self._cursor)
        self._once_from = position + 1 if position >= 0 else self._cursor
        while position < 0:
            level = min(self._levels)
            position = self._pop_from(level)
        return position

    def _pop_from(self, level: int) -> int:
        runs = self._levels[level]
        while runs:
            run = runs.popleft()
            position = self._states.find(level, run.start, run.stop)
            if position >= 0:
                if position + 1 < run.stop:
                    runs.appendleft(range(position + 1, run.stop))
                else:
                    self._hints -= 1
                return position
            self._hints -= 1
        del self._levels[level]
        return -1
