"""Status: which items are not started, active and finished, by id, for many threads."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from functools import cached_property
from typing import Any

from tracking.core.items import Items
from tracking.errors import InputError
from tracking.master.places import Places, places_of, sequence_of


class Status:
    """The states of all items of a calculation; what costs little at ten items costs as little at ten million.

    Args:
        objects: the ids, in any iterable (a data dict will do). Of a ``LazyMapping`` its sequence of ids is taken as it
            is, so a range costs nothing. A dict is listed when somebody asks: it may change until then.
        redistribute: when nothing is left to start, ``next_chunk`` gives out active items once more.

    Attributes:
        objects: {id: None not started | n active, given out n times | 0 finished}; may be assigned to.
        lock: held while states are looked at or changed.

    Example:
        >>> status = Status(["a", "b", "c"])
        >>> status.next_chunk(2)
        (['a', 'b'], 3)
        >>> status.deactivate("a")
        >>> dict(status.objects)
        {'a': 0, 'b': 1, 'c': None}

    Source: Biskit's ``Status`` (2004), whose every call walked all items.
    """

    def __init__(self, objects: Iterable[Hashable], redistribute: int | str = 1) -> None:
        self.lock = threading.RLock()
        self.redistribute = redistribute
        self._tr_set_ids(objects)

    def _tr_set_ids(self, ids: Iterable[Hashable]) -> None:
        for name in ("_tr_ids", "_tr_items"):
            self.__dict__.pop(name, None)
        self._tr_objects = ids if type(ids) is dict else sequence_of(ids)
        self._tr_index: Places | None = None  # made when somebody asks by id

    @cached_property
    def _tr_ids(self) -> Sequence[Any]:
        """Listed when somebody asks: until then a data dict may still change."""
        return sequence_of(self._tr_objects)

    @cached_property
    def _tr_items(self) -> Items:
        return Items(len(self._tr_ids))

    @property
    def objects(self) -> MutableMapping[Any, int | None]:
        return _Objects(self)

    @objects.setter
    def objects(self, states: Mapping[Any, int | None]) -> None:
        with self.lock:
            states = dict(states)
            is_same = len(states) == len(self._tr_ids) and all(map(self._tr_positions().__contains__, states))
            self._tr_set_ids(self._tr_ids if is_same else states)
            for id, state in states.items():
                if state is not None:
                    self._tr_items.set_state(self._tr_position(id), _checked_state(id, state))

    def __repr__(self) -> str:
        with self.lock:
            items = self._tr_items
            counts = f"{items.count_finished} finished, {items.count_active} active"
            return f"Status: {len(self._tr_ids)} items, {counts}"

    def next_chunk(self, n: int) -> tuple[list[Any], int]:
        """The next at most ``n`` ids to work on, and from how many they were taken.

        They are not started yet; when all are, and with ``redistribute``, they are active ones, those least
        often given out first.
        """
        with self.lock:
            items = self._tr_items
            n_left = items.count_not_started or (items.count_active if self.redistribute else 0)
            positions = self._tr_items.next_chunk(n, bool(self.redistribute))
            return [self._tr_ids[position] for position in positions], n_left

    def deactivate(self, id: Hashable) -> None:
        """The item is finished.

        Raises:
            KeyError: there is no such item.
            ValueError: it was never given out.
        """
        with self.lock:
            position = self._tr_position(id)
            if self._tr_items.count(position) is None:
                raise ValueError(f"item {id!r} was never given out, so it cannot be finished")
            self._tr_items.finish_one(position)

    def done(self) -> bool:
        """Whether all items are finished."""
        with self.lock:
            return self._tr_items.is_done

    def not_started(self) -> list[Any]:
        """The ids of items that were never given out."""
        with self.lock:
            return self._tr_named(self._tr_items.not_started())

    def activ(self) -> list[Any]:
        """The ids of items that were given out and are not finished."""
        with self.lock:
            return self._tr_named(self._tr_items.active())

    def not_done(self) -> list[Any]:
        """The ids of items that are not finished: not started ones first, then those least often given out."""
        with self.lock:
            return self._tr_named(self._tr_items.not_done())

    # ---- for the engine

    def _tr_named(self, positions: Iterable[int]) -> list[Any]:
        return [self._tr_ids[position] for position in positions]

    def _tr_positions(self) -> Places:
        if self._tr_index is None:
            self._tr_index = places_of(self._tr_ids)
        return self._tr_index

    def _tr_position(self, id: Hashable) -> int:
        try:
            return self._tr_positions()[id]
        except KeyError:
            raise KeyError(f"there is no item {id!r}") from None

    def _tr_fits(self, data: Mapping[Any, Any]) -> bool:
        """Whether these are the items of this data dict."""
        if self._tr_objects is data and "_tr_ids" not in self.__dict__:
            return True  # or will be
        ids = sequence_of(data)
        if ids is self._tr_ids or (type(ids) is type(self._tr_ids) and ids == self._tr_ids):
            return True
        return len(ids) == len(self._tr_ids) and all(map(self._tr_positions().__contains__, ids))

    def _tr_finish_known(self, known: Iterable[Hashable]) -> None:
        """Items that have a result already are finished; ids that are not ours do not matter."""
        with self.lock:
            ids: Sequence[Hashable] = list(known)
            if ids:
                positions = self._tr_positions()
                self._tr_items.finish(sorted(positions[id] for id in ids if id in positions))

    def _tr_states(self) -> dict[Any, int | None]:
        """{id: state} of all items."""
        with self.lock:
            return dict(zip(self._tr_ids, self._tr_items.states(), strict=True))

    def _tr_reopen_active(self) -> None:
        """Items that were active when they were saved are to be computed again."""
        with self.lock:
            if self._tr_items.count_active:
                self._tr_items.release(list(self._tr_items.active()))


def _checked_state(id: Hashable, state: Any) -> int:
    if isinstance(state, bool) or not isinstance(state, int) or state < 0:
        raise InputError(f"the state of item {id!r} must be None, 0 or how often it was given out; not {state!r}")
    return state


class _Objects(MutableMapping[Any, "int | None"]):
    """``Status.objects``: a view, alive."""

    def __init__(self, status: Status) -> None:
        self._status = status

    def __getitem__(self, id: Any) -> int | None:
        status = self._status
        with status.lock:
            return status._tr_items.count(status._tr_position(id))

    def __setitem__(self, id: Any, state: int | None) -> None:
        status = self._status
        with status.lock:
            status._tr_items.set_state(status._tr_position(id), None if state is None else _checked_state(id, state))

    def __delitem__(self, id: Any) -> None:
        raise TypeError("an item cannot be taken out of a status; assign objects as a whole")

    def __iter__(self) -> Iterator[Any]:
        return iter(self._status._tr_ids)

    def __len__(self) -> int:
        return len(self._status._tr_ids)

    def __repr__(self) -> str:
        return repr(dict(self.items()))
