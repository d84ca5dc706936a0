"""How often a queue is asked how its jobs are. Pure."""

from __future__ import annotations

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
_URGENT_PAUSE_S = 0.25
_GROWTH = 1.5


class Pace:
    """How often the queue is asked: soon after something has happened, then less and less."""

    def __init__(self) -> None:
        self._pause_s = _FIRST_PAUSE_S
        self._at = 0.0

    def hurry(self, now: float, within_s: float = _FIRST_PAUSE_S) -> None:
        """Something has happened that the queue may know of."""
        self._pause_s = _FIRST_PAUSE_S
        self._at = min(self._at, now + within_s)

    def rest(self, now: float) -> None:
        """The queue has no news yet, since nothing that it has was there a moment ago: asking would only cost time."""
        self._at = max(self._at, now + _FIRST_PAUSE_S)

    def was_asked(self, now: float, *, is_news: bool = False, is_urgent: bool = False) -> None:
        """The queue has just answered, or failed to.

        Args:
            now: the time, in seconds.
            is_news: there was something new in it.
            is_urgent: the end of a task is looked for.
        """
        self._pause_s = _FIRST_PAUSE_S if is_news else min(_GROWTH * self._pause_s, _LONGEST_PAUSE_S)
        self._at = now + (_URGENT_PAUSE_S if is_urgent else self._pause_s)

    def due_in(self, now: float) -> float:
        """In how many seconds to ask."""
        return max(0.0, self._at - now)
