"""Ctrl-C is held back, and comes."""

from __future__ import annotations

import signal
import threading

import pytest

from tracking.pool.interrupts import held_back


def test_an_interrupt_comes_at_the_end_of_the_block() -> None:
    steps: list[str] = []

    def work() -> None:
        with held_back(lambda: steps.append("hurry")) as was_interrupted:
            assert not was_interrupted()
            signal.raise_signal(signal.SIGINT)
            assert was_interrupted()
            steps.append("whole")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert steps == ["hurry", "whole"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_an_interrupt_nothing_has_changed() -> None:
    with held_back(lambda: None):
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_blocks_may_lie_in_each_other() -> None:
    steps: list[str] = []

    def work() -> None:
        with held_back(lambda: steps.append("outer")):
            with held_back(lambda: steps.append("inner")):
                signal.raise_signal(signal.SIGINT)
                steps.append("in both")
            steps.append("in one")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert steps == ["inner", "in both", "outer", "in one"]


def test_the_user_s_own_handler_is_asked_afterwards() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        with held_back(lambda: None):
            signal.raise_signal(signal.SIGINT)
            assert seen == []
        assert seen == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_handler_that_was_set_meanwhile_stays() -> None:
    before = signal.getsignal(signal.SIGINT)
    try:
        with held_back(lambda: None):
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        with held_back(lambda: None) as was_interrupted:  # ignored before, ignored now
            signal.raise_signal(signal.SIGINT)
            assert not was_interrupted()
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_other_threads_there_is_nothing_to_hold_back() -> None:
    handlers: list[object] = []

    def look() -> None:
        with held_back(lambda: None):
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]
