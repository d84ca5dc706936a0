"""One actor: what it was asked, what is out, and what an event does; each story is a list of events."""

from __future__ import annotations

import random

import pytest

from tracking.core.actor import (
    ActorCommand,
    ActorEvent,
    ActorPhase,
    ActorState,
    Answered,
    Asked,
    Fail,
    Lost,
    Made,
    Refused,
    Send,
)


def told(*events: ActorEvent) -> tuple[ActorState, list[ActorCommand]]:
    """An actor after these events, and all that it wanted done."""
    actor = ActorState()
    commands: list[ActorCommand] = []
    for event in events:
        commands += actor.handle(event)
        actor.check()
    return actor, commands


STORIES: dict[str, tuple[list[ActorEvent], list[ActorCommand]]] = {
    "what is asked before it is made waits": ([Asked(1)], []),
    "what has waited goes out when it is made": ([Asked(1), Made()], [Send(1)]),
    "one call is ahead of the one being made, no more": ([Made(), Asked(1), Asked(2), Asked(3)], [Send(1), Send(2)]),
    "an answer lets the next one out": (
        [Made(), Asked(1), Asked(2), Asked(3), Answered(1)], [Send(1), Send(2), Send(3)]
    ),
    "lost before it is made fails what was asked": ([Asked(1), Asked(2), Lost()], [Fail(1), Fail(2)]),
    "lost with calls out fails all in their order": (
        [Made(), Asked(1), Asked(2), Asked(3), Lost()], [Send(1), Send(2), Fail(1), Fail(2), Fail(3)]
    ),
    "what is answered does not fail": ([Made(), Asked(1), Answered(1), Lost()], [Send(1)]),
    "what is asked of a lost one fails at once": ([Lost(), Asked(1)], [Fail(1)]),
    "a lost one is not made any more": ([Lost(), Made(), Asked(1)], [Fail(1)]),
    "what is refused waits for the loss": ([Made(), Asked(1), Refused(1), Asked(2)], [Send(1)]),
    "what is refused fails with the loss, in order": (
        [Made(), Asked(1), Asked(2), Refused(2), Refused(1), Asked(3), Lost()],
        [Send(1), Send(2), Fail(1), Fail(2), Fail(3)],
    ),
    "a call before a refused one may still be answered": (
        [Made(), Asked(1), Asked(2), Refused(2), Answered(1), Lost()], [Send(1), Send(2), Fail(2)]
    ),
    "answers to what was not asked are no news": ([Made(), Answered(7), Asked(1), Answered(9)], [Send(1)]),
    "lost twice is lost once": ([Made(), Asked(1), Lost(), Lost()], [Send(1), Fail(1)]),
}  # fmt: skip


@pytest.mark.parametrize("story", STORIES)
def test_a_story(story: str) -> None:
    events, expected = STORIES[story]
    assert told(*events)[1] == expected


def test_it_is_busy_until_all_is_answered() -> None:
    actor, _ = told(Made(), Asked(1))
    assert actor.is_busy
    actor.handle(Answered(1))
    assert not actor.is_busy


def test_whatever_happens_each_call_is_sent_in_order_and_settled_once() -> None:
    for seed in range(300):
        dice, actor, commands, number = random.Random(seed), ActorState(), [], 0
        answered: list[int] = []
        for _ in range(40):
            event: ActorEvent = Asked(number := number + 1)
            kind = dice.randrange(10)
            if kind == 0:
                event = Made()
            elif kind < 4 and actor.out:
                event = Answered(actor.out[0])
                answered.append(actor.out[0])
            elif kind == 4 and actor.out and dice.random() < 0.2:
                event = Refused(actor.out[-1])
            commands += actor.handle(event)
            actor.check()
        commands += actor.handle(Lost())
        sent = [command.call for command in commands if isinstance(command, Send)]
        failed = [command.call for command in commands if isinstance(command, Fail)]
        assert sent == sorted(set(sent))
        assert not set(answered) & set(failed)
        assert actor.phase is ActorPhase.LOST
        assert not actor.is_busy
