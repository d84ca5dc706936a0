"""The places of slaves that are to be started for a pool."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from tracking.fabrics.registry import Fabrics
from tracking.pool.shares import Shares
from tracking.pool.slaves import Place


class Placing:
    """Makes places.

    Args:
        niceness: {host: nice value, 'default': n}.
        shares: what slaves have of the cores of their hosts.
        show_output: of all.
    """

    def __init__(self, niceness: Mapping[str, int], shares: Shares, show_output: int) -> None:
        self._niceness = niceness
        self._shares = shares
        self._show_output = show_output

    def places(
        self, named: Sequence[tuple[str, str]], fabrics: Fabrics, output: str | Sequence[str] | None
    ) -> list[Place]:
        """One for each (host, nickname); ``output``: a path for all of them, or for each, or none."""
        paths = [output or ""] * len(named) if isinstance(output, str | None) else output
        return [
            Place(
                nickname, host, self._nice(host), self._show_output, fabrics.of(host),
                output_path(path, nickname, host), self._shares.next(host),
            )
            for (host, nickname), path in zip(named, paths, strict=True)
        ]  # fmt: skip

    def _nice(self, host: str) -> int:
        return self._niceness.get(host, self._niceness.get("default", 0))


def output_path(path: str, nickname: str, host: str) -> str:
    """The file of a slave, in full: a program may change its directory later.

    >>> output_path("/tmp/{nickname}.log", "node_1", "node")
    '/tmp/node_1.log'
    """
    return os.path.abspath(path.replace("{nickname}", nickname).replace("{host}", host)) if path else ""
