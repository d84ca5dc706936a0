"""In which order handlers are asked for a message."""

from __future__ import annotations

from typing import Any

from tests.service.services import SteerMore
from tracking.service.lookup import READY, SIGNAL, hook_names, hooks
from tracking.service.messages import Abort, Message, Pause


class Recorder:
    """Has the hooks that it is told to have, and notes their calls."""

    def __init__(self, name: str, story: list[Any], *hooks: str) -> None:
        self._name, self._story = name, story
        for hook in hooks:
            setattr(self, hook, self._noting(hook))

    def _noting(self, hook: str) -> Any:
        return lambda *args: self._story.append((self._name, hook, len(args)))


def called(message: Message, phase: str, service: tuple[str, ...], handler: tuple[str, ...]) -> list[Any]:
    story: list[Any] = []
    for hook in hooks(message, phase, Recorder("service", story, *service), Recorder("handler", story, *handler)):
        hook(message)
    return story


def test_the_class_comes_before_its_bases_and_the_catch_all_last() -> None:
    assert hook_names(SteerMore, READY) == ["onReadySteerMore", "onReadySteer", "onReadyMessage"]
    assert hook_names(Message, SIGNAL) == ["onSignalMessage"]


def test_the_service_is_asked_before_the_handler_class_by_class() -> None:
    both = ("onSignalSteer", "onSignalSteerMore", "onSignalMessage")
    assert called(SteerMore(), SIGNAL, both, both) == [("service", "onSignalSteerMore", 2)]
    found = called(SteerMore(), SIGNAL, ("onSignalSteer",), ("onSignalSteerMore",))
    assert found == [("handler", "onSignalSteerMore", 1)]
    assert called(SteerMore(), SIGNAL, ("onSignalSteer",), ("onSignalMessage",)) == [("service", "onSignalSteer", 2)]
    assert called(SteerMore(), READY, ("onReadyMessage",), ("onReadySteer",)) == [("handler", "onReadySteer", 1)]
    assert called(SteerMore(), READY, ("onReadyMessage",), ("onReadyMessage",)) == [("service", "onReadyMessage", 2)]
    assert called(SteerMore(), READY, (), ()) == []


def test_an_abort_takes_effect_in_the_handler_and_a_hook_of_the_service_comes_in_addition() -> None:
    own = ("onSignalAbort", "onSignalPause", "onSignalMessage")
    found = called(Abort(), SIGNAL, ("onSignalAbort",), own)
    assert found == [("handler", "onSignalAbort", 1), ("service", "onSignalAbort", 2)]
    assert called(Pause(), SIGNAL, ("onSignalMessage",), own) == [("handler", "onSignalPause", 1)]


def test_a_message_derived_from_abort_takes_effect_too() -> None:
    class Stop(Abort):
        pass

    hooks_of_service = ("onSignalStop",)
    found = called(Stop(), SIGNAL, hooks_of_service, ("onSignalAbort",))
    assert found == [("handler", "onSignalAbort", 1), ("service", "onSignalStop", 2)]
