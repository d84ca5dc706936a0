"""The end of the program ends all managers that nobody has closed: their slaves do not outlive it."""

from __future__ import annotations

import atexit
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracking.parallel.hub import Hub

_END_TIMEOUT_S = 10.0


def end(hub: Hub) -> None:
    """This one, too, if it is there then."""
    _running.add(hub)


_running: weakref.WeakSet[Hub] = weakref.WeakSet()


def _end_all() -> None:
    hubs = [hub for hub in _running if hub.is_own and not hub.is_closed]
    for hub in hubs:
        hub.end(wait=False)
    for hub in hubs:
        hub.join(_END_TIMEOUT_S)


atexit.register(_end_all)
