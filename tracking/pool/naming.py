"""What slaves are called, and the numbers of masters."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Iterable, Sequence

from tracking.errors import InputError

MASTER_NUMBERS = itertools.count(1_000_000_001)
"""Numbers of masters, and of their calculations: above those of all slaves, and given out once in a program."""


class Nicknames:
    """Gives slaves their nicknames: a host that is named once keeps its name, others are numbered from 0.

    What was given once is not given again: slaves that are added later, to a host that is there or was, are counted on.
    For any thread.

    >>> nicknames = Nicknames()
    >>> nicknames.give(['a', 'b', 'a'])
    [('a', 'a_0'), ('b', 'b'), ('a', 'a_1')]
    >>> nicknames.give(['a', 'b', 'c'])
    [('a', 'a_2'), ('b', 'b_1'), ('c', 'c')]
    """

    def __init__(self) -> None:
        self._numbers: Counter[str] = Counter()  # host -> the next
        self._given: set[str] = set()
        self._lock = threading.Lock()

    def note(self, host: str, nickname: str) -> None:
        """A slave has this one, from elsewhere."""
        with self._lock:
            if nickname not in self._given:
                self._given.add(nickname)
                self._numbers[host] += 1

    def give(self, hosts: Iterable[str], wanted: Sequence[str] | None = None) -> list[tuple[str, str]]:
        """(host, nickname) of each; those that are wanted, if somebody wants certain ones.

        Raises:
            InputError: one that is wanted was given before.
        """
        hosts = list(hosts)
        with self._lock:
            if wanted is not None:
                return self._as_wanted(hosts, wanted)
            totals = Counter(hosts)
            totals.update(self._numbers)
            return [(host, self._next(host, is_single=totals[host] == 1)) for host in hosts]

    def _as_wanted(self, hosts: list[str], wanted: Sequence[str]) -> list[tuple[str, str]]:
        twice = [name for name, count in Counter(wanted).items() if count > 1 or name in self._given]
        if twice:
            raise InputError(f"nickname {twice[0]!r} is that of another slave")
        self._given.update(wanted)
        self._numbers.update(hosts)
        return list(zip(hosts, wanted, strict=True))

    def _next(self, host: str, *, is_single: bool) -> str:
        nickname = host if is_single else f"{host}_{self._numbers[host]}"
        self._numbers[host] += 1
        if nickname in self._given:  # as that of a host which has a number in its name
            return self._next(host, is_single=False)
        self._given.add(nickname)
        return nickname


def names_for(hosts: Iterable[str]) -> list[tuple[str, str]]:
    """(host, nickname) of each, where there is none yet."""
    return Nicknames().give(hosts)
