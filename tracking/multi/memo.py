"""Memo: what waits on the master for the results of a command."""

from __future__ import annotations

import itertools

_numbers = itertools.count(1)


class Memo:
    """Stays on the master and tells a result command where to put what came; never sent, so it may hold anything.

    A subclass need not call this class's constructor: there is none.
    """

    _memo_number: int | None = None

    def memo_id(self) -> int:
        """The number by which results find it: given out once, at the first call, and never to another one."""
        if self._memo_number is None:
            self._memo_number = next(_numbers)
        return self._memo_number
