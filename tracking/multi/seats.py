"""Ranks of slaves: 1 to n in the order in which their places were made; who replaces another has its rank."""

from __future__ import annotations

from collections.abc import Mapping


class Seats:
    """Gives ranks by nickname, which a place keeps whoever fills it.

    >>> seats = Seats()
    >>> seats.take(["node_1", "node_0"])
    >>> seats.rank("node_0"), seats.rank("node_7"), seats.rank("node_1")
    (2, 3, 1)
    """

    def __init__(self) -> None:
        self._ranks: dict[str, int] = {}

    def take(self, nicknames: list[str]) -> None:
        """These are next, in their order."""
        for nickname in nicknames:
            self.rank(nickname)

    def rank(self, nickname: str) -> int:
        """Of the slave with this nickname."""
        return self._ranks.setdefault(nickname, len(self._ranks) + 1)


def in_order_of_start(slaves: Mapping[int, Mapping[str, str]]) -> list[str]:
    """The nicknames of a pool's slaves, {tid: {'nickname': ...}}, those that were started first being first."""
    return [slaves[tid]["nickname"] for tid in sorted(slaves)]
