"""Fabrics whose news are watched for."""

from __future__ import annotations

from collections.abc import Callable

from tracking.fabrics.base import Fabric
from tracking.pool.loop import READ, Loop


class Watched:
    """The fabrics that have started slaves, and the descriptors of theirs that are watched.

    Args:
        loop: watches.
        has_news: called when a fabric has news.
    """

    def __init__(self, loop: Loop, has_news: Callable[[Fabric], None]) -> None:
        self._loop = loop
        self._has_news = has_news
        self._fabrics: dict[int, tuple[Fabric, list[int]]] = {}  # by id: a fabric need not be hashable
        self._poll_at: dict[int, float] = {}  # by id: when the earliest timer is due that polls it

    def follow(self, fabric: Fabric) -> None:
        """It has started a slave, and may have got descriptors for that."""
        if id(fabric) not in self._fabrics or self._fabrics[id(fabric)][1] != list(fabric.descriptors()):
            self.begin_anew(fabric)
        else:
            self._poll_in_time(fabric)

    def begin_anew(self, fabric: Fabric) -> None:
        """It may have closed descriptors, and have new ones of the same numbers."""
        _, before = self._fabrics.get(id(fabric), (fabric, []))
        for descriptor in before:
            self._loop.forget(descriptor)
        now = list(fabric.descriptors())
        self._fabrics[id(fabric)] = fabric, now
        for descriptor in now:
            self._loop.watch(descriptor, READ, lambda mask: self._has_news(fabric))
        self._poll_in_time(fabric)

    def has_failed(self, fabric: Fabric) -> None:
        """It could not start a slave: others may have ended with what failed."""
        self.begin_anew(fabric)
        self._loop.after(0.0, lambda: self._has_news(fabric))

    def _poll_in_time(self, fabric: Fabric) -> None:
        """Some news come by themselves, as that a slave has not dialled in time."""
        within_s = fabric.poll_within_s()
        if within_s is None:
            return
        when = self._loop.clock() + within_s
        if when < self._poll_at.get(id(fabric), float("inf")):
            self._poll_at[id(fabric)] = when
            self._loop.at(when, lambda: self._is_time(fabric))

    def _is_time(self, fabric: Fabric) -> None:
        self._poll_at.pop(id(fabric), None)
        self._has_news(fabric)

    def all(self) -> list[Fabric]:
        """Those that have started slaves."""
        return [fabric for fabric, _ in self._fabrics.values()]

    def close_all(self) -> None:
        """Close the fabrics."""
        for fabric, _ in self._fabrics.values():
            fabric.close()
