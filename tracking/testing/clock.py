"""A clock for tests."""

from __future__ import annotations


class Clock:
    """A clock that goes on only when told to. Call it for the time.

    >>> clock = Clock()
    >>> clock.step(2.5)
    >>> clock()
    2.5

    Args:
        now: seconds.
    """

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def step(self, seconds: float) -> None:
        """Let time go by."""
        self.now += seconds
