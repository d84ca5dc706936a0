"""How far a queue is, said now and then; decided without a clock of its own."""

from __future__ import annotations

FIRST_S = 10.0
GROWTH = 1.5
LONGEST_S = 60.0


class Progress:
    """Decides when to say how far a queue is.

    Args:
        number: of the queue.
        total: of its commands.
        began: when, in seconds.

    >>> progress = Progress(3, 40, began=0.0)
    >>> progress.line(10, now=9.0), progress.line(11, now=10.0), progress.line(12, now=11.0)
    ('', 'queue 3: 11 of 40 commands done', '')
    """

    def __init__(self, number: int, total: int, began: float) -> None:
        self._number = number
        self._total = total
        self._gap_s = FIRST_S
        self._next_at = began + FIRST_S

    def line(self, n_done: int, now: float) -> str:
        """What is to be said now; "": nothing."""
        if now < self._next_at:
            return ""
        self._gap_s = min(LONGEST_S, self._gap_s * GROWTH)
        self._next_at = now + self._gap_s
        return f"queue {self._number}: {n_done} of {self._total} commands done"
