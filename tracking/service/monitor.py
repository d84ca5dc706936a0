"""Monitor: a listener that is told of each message by a method named after its class."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from tracking.service.lookup import hook_names
from tracking.service.messages import Log, Message
from tracking.service.staying import StaysHere

MONITOR = "onMonitor"


class Monitor(StaysHere):
    """Hears messages: ``onMonitorQ(message)`` for one of class Q or derived from it, else ``onMonitorMessage``.

    Example:
        >>> from tracking.service import Completed, Improved, Monitor
        >>> class Best(Monitor):
        ...     def onMonitorImproved(self, message):
        ...         print("better:", message.result)
        >>> monitor = Best()
        >>> monitor.put(Improved(0.5))
        better: 0.5
        >>> monitor.put(Completed(0.4))
        > Completed(result=0.4)
    """

    def put(self, message: Message) -> None:
        """A message came."""
        for name in hook_names(type(message), MONITOR):
            hook: Callable[[Any], object] | None = getattr(self, name, None)
            if hook is not None:
                hook(message)
                return

    def onMonitorMessage(self, message: Message) -> None:
        """No other method is for this message: print it."""
        text = str(message) if type(message).__str__ is not object.__str__ else repr(message)
        print(f"> {text}")

    def onMonitorLog(self, message: Log) -> None:
        """Log the record here, with the logger of its name."""
        logging.getLogger(message.record.name).handle(message.record)
