"""The loop: what is ready, what is due, and who wakes whom."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from tests.pool.helpers import WAIT_S
from tracking.pool.loop import READ, WRITE, Loop
from tracking.testing import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def loop(clock: Clock) -> Iterator[Loop]:
    loop = Loop(threading.RLock(), clock)
    yield loop
    loop.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_timers_run_in_the_order_in_which_they_are_due(loop: Loop, clock: Clock) -> None:
    ran: list[int] = []
    for delay_s in (3, 1, 2, 1):
        loop.after(delay_s, lambda delay_s=delay_s: ran.append(delay_s))  # type: ignore[misc]
    loop.turn(0.0)
    assert ran == []
    clock.step(2.0)
    loop.turn(None)
    assert ran == [1, 1, 2]
    clock.step(1.0)
    loop.turn(None)
    assert ran == [1, 1, 2, 3]


def test_a_timer_that_sets_another_that_is_due_leaves_the_turn_first(loop: Loop) -> None:
    ran: list[int] = []

    def again() -> None:
        ran.append(len(ran))
        loop.after(0.0, again)

    again()
    loop.turn(None)
    assert ran == [0, 1]


def test_a_turn_that_waits_is_woken_from_any_thread(loop: Loop) -> None:
    thread = threading.Thread(target=loop.turn, args=(WAIT_S,))
    thread.start()
    loop.wake()
    thread.join(WAIT_S / 2)
    assert not thread.is_alive()


def test_a_wake_before_the_turn_is_not_lost(loop: Loop) -> None:
    for _ in range(100_000):  # more than the pipe holds
        loop.wake()
    loop.turn(None)


def test_handlers_hear_what_the_descriptor_is_ready_for(loop: Loop, pipe: tuple[int, int]) -> None:
    masks: list[int] = []
    loop.watch(pipe[0], READ, masks.append)
    loop.watch(pipe[1], WRITE, masks.append)
    loop.turn(0.0)
    os.write(pipe[1], b"x")
    loop.forget(pipe[1])
    loop.turn(0.0)
    assert masks == [WRITE, READ]


def test_a_new_handler_takes_the_place_of_the_old_one(loop: Loop, pipe: tuple[int, int]) -> None:
    loop.watch(pipe[1], WRITE, lambda mask: pytest.fail("the old one"))
    called: list[int] = []
    loop.watch(pipe[1], WRITE, called.append)
    loop.turn(0.0)
    assert called == [WRITE]


def test_what_was_never_watched_can_be_forgotten(loop: Loop, pipe: tuple[int, int]) -> None:
    loop.forget(pipe[0])
    loop.forget(-1)


def test_a_closed_loop_does_nothing(loop: Loop) -> None:
    loop.close()
    loop.close()
    loop.wake()
    loop.turn(None)


def test_a_timer_that_is_due_in_years_or_never_breaks_nothing(loop: Loop) -> None:
    for delay_s in (1e12, float("inf")):
        loop.after(delay_s, lambda: None)
    loop.turn(0.0)
    assert loop._until_timer(None) == 86400.0


def test_a_timer_that_is_not_the_next_one_wakes_nobody(loop: Loop) -> None:
    loop.at(5.0, lambda: None)
    loop.turn(0.0)
    with pytest.MonkeyPatch.context() as patch:
        woken: list[None] = []
        patch.setattr(loop, "wake", lambda: woken.append(None))
        loop.at(7.0, lambda: None)
        assert not woken
        loop.at(3.0, lambda: None)
        assert woken


def test_a_rest_lets_lie_what_is_ready_until_it_is_woken(loop: Loop, pipe: tuple[int, int]) -> None:
    masks: list[int] = []
    loop.watch(pipe[0], READ, masks.append)
    os.write(pipe[1], b"x")
    thread = threading.Thread(target=loop.rest, args=(WAIT_S,))
    thread.start()
    loop.wake()
    thread.join(WAIT_S / 2)
    assert not thread.is_alive()
    assert masks == []
    loop.turn(None)
    assert masks == [READ]


def test_a_rest_ends_when_a_timer_is_due(loop: Loop) -> None:
    ran: list[int] = []
    loop.after(0.0, lambda: ran.append(1))
    loop.rest(WAIT_S)
    assert ran == []
    loop.turn(None)
    assert ran == [1]
