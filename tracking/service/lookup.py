"""Who handles a message: the order in which handlers are asked. Pure.

For a message of class Q, derived from P:  service.onSignalQ, handler.onSignalQ, service.onSignalP, handler.onSignalP,
service.onSignalMessage, handler.onSignalMessage; the same with onReady. The first that there is handles it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tracking.service.messages import Abort, Message, Pause, Resume

SIGNAL, READY = "onSignal", "onReady"

Hook = Callable[[Message], object]


def hook_names(kind: type[Message], phase: str) -> list[str]:
    """The names of handlers in the order in which they are asked for.

    >>> class Stop(Abort): ...
    >>> hook_names(Stop, SIGNAL)
    ['onSignalStop', 'onSignalAbort', 'onSignalMessage']
    """
    classes = kind.__mro__[: kind.__mro__.index(Message)]
    return [f"{phase}{cls.__name__}" for cls in (*classes, Message)]


def hooks(message: Message, phase: str, service: object, handler: object) -> list[Hook]:
    """What is to be called for this message, in this order: mostly one; none if nobody wants it.

    An ``Abort``, ``Pause`` or ``Resume`` always takes effect in the handler; a hook of the service comes in addition.
    """
    found = [_first(message, phase, service, handler)]
    if phase == SIGNAL:
        found.insert(0, _control(message, handler))
    return [hook for place, hook in enumerate(found) if hook is not None and hook not in found[:place]]


def _first(message: Message, phase: str, service: object, handler: object) -> Hook | None:
    for name in hook_names(type(message), phase):
        if (hook := getattr(service, name, None)) is not None:
            return partial(hook, handler)
        if (hook := getattr(handler, name, None)) is not None:
            return _as_hook(hook)
    return None


def _control(message: Message, handler: object) -> Hook | None:
    for cls in (Abort, Pause, Resume):
        if isinstance(message, cls):
            return _as_hook(getattr(handler, f"{SIGNAL}{cls.__name__}"))
    return None


def _as_hook(hook: Any) -> Hook:
    found: Hook = hook
    return found
