"""Memo: what waits on the master for the results of a command."""

from __future__ import annotations

import itertools
from typing import Any

_numbers = itertools.count(1)


class Memo:
    """Stays on the master and tells a result command where to put what came; never sent, so it may hold anything.

    A subclass need not call this class's constructor: there is none.
    """

    _memo_number: tuple[int, int] = (0, 0)  # with the address of its owner: a copy needs a number of its own

    def memo_id(self) -> int:
        """The number by which results find it: given out once, at the first call, and never to another one."""
        number, owner = self._memo_number
        if owner != id(self):
            number = next(_numbers)
            object.__setattr__(self, "_memo_number", (number, id(self)))  # a subclass may be frozen
        return number


def number_of(memo: Any) -> Any:
    """The number of a memo, of ours or any other object."""
    own = getattr(memo, "memo_id", None)
    return own() if callable(own) else next(_numbers)
