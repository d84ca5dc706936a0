"""How fast it goes."""

from __future__ import annotations

from collections import deque

from tracking.report import Snapshot

RATE_WINDOW_S = 30.0
RATE_WINDOW_ITEMS = 10


class Rate:
    """Items per second over the last half minute, or over the last ten items if they took longer.

    Restored items do not count: they cost no time.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque([(0.0, 0)])

    def measure(self, snapshot: Snapshot) -> float:
        """Take this moment into account; return the rate, 0.0 as long as it is unknown."""
        now_s, n_computed = snapshot.elapsed_s, snapshot.n_over - snapshot.n_restored
        if n_computed > self._samples[-1][1]:
            self._samples.append((now_s, n_computed))
        while len(self._samples) > 1 and self._is_enough(self._samples[1], now_s, n_computed):
            self._samples.popleft()
        begun_s, n_before = self._samples[0]
        return max(0.0, (n_computed - n_before) / (now_s - begun_s)) if now_s > begun_s else 0.0

    @staticmethod
    def _is_enough(sample: tuple[float, int], now_s: float, n_computed: int) -> bool:
        return now_s - sample[0] >= RATE_WINDOW_S and n_computed - sample[1] >= RATE_WINDOW_ITEMS
