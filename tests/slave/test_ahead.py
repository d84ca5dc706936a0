"""Finished items of a job that still runs are sent ahead: each once, in order, whoever sends them."""

from __future__ import annotations

import threading
from itertools import count
from typing import Any

import pytest

from tracking.slave.ahead import PART_INTERVAL_S, Failures, FinishedItems
from tracking.slave.work import FunctionWork
from tracking.wire import codec


class Line:
    """Keeps what was sent, decoded."""

    def __init__(self) -> None:
        self.parts: list[tuple[int, Any, Failures, float, bool]] = []
        self.has_part = threading.Event()

    def send(self, first: int, payload: codec.Payload, failures: Failures, seconds: float, is_last: bool) -> None:
        self.parts.append((first, codec.decode(payload), failures, seconds, is_last))
        self.has_part.set()

    @property
    def results(self) -> list[Any]:
        return [result for _, results, _, _, _ in self.parts for result in results]


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def items(line: Line, clock: Clock) -> FinishedItems:
    return FinishedItems(4, line.send, clock)


def test_what_is_finished_is_sent_ahead_when_an_item_takes_long(
    items: FinishedItems, line: Line, clock: Clock
) -> None:
    items.results += [1, 2]
    items.send_ahead()
    assert line.parts == []
    clock.now_s += 3 * PART_INTERVAL_S
    items.send_ahead()
    assert line.parts == [(0, [1, 2], {}, PART_INTERVAL_S, False)]


def test_nothing_is_sent_ahead_when_nothing_is_new(items: FinishedItems, line: Line, clock: Clock) -> None:
    clock.now_s += PART_INTERVAL_S
    items.send_ahead()
    items.results.append(1)
    items.send_ahead()
    clock.now_s += PART_INTERVAL_S
    items.send_ahead()
    assert line.results == [1]
    assert len(line.parts) == 1


def test_parts_and_the_rest_make_the_whole_with_all_its_time(items: FinishedItems, line: Line, clock: Clock) -> None:
    items.results += [1, 2]
    clock.now_s += 1.0
    items.send()
    items.results.append(3)
    clock.now_s += 1.0
    items.send_ahead()
    items.results.append(4)
    clock.now_s += 1.0
    items.send(is_last=True)
    assert [(first, results, is_last) for first, results, _, _, is_last in line.parts] == [
        (0, [1, 2], False),
        (2, [3], False),
        (3, [4], True),
    ]
    assert sum(seconds for _, _, _, seconds, _ in line.parts) == 3.0


def test_when_the_last_item_is_finished_nothing_goes_ahead_of_the_end(
    items: FinishedItems, line: Line, clock: Clock
) -> None:
    items.results += [1, 2, 3, 4]
    clock.now_s += 1.0
    items.send()
    items.send_ahead()
    assert line.parts == []
    items.send(is_last=True)
    assert line.parts == [(0, [1, 2, 3, 4], {}, 1.0, True)]


def test_a_failed_item_goes_with_its_part(items: FinishedItems, line: Line, clock: Clock) -> None:
    report = ("raised", "no", "", None)
    items.results.append(1)
    items.failures[1] = report
    items.results.append(None)
    clock.now_s += 1.0
    items.send_ahead()
    items.results.append(3)
    items.send(is_last=True)
    assert [failures for _, _, failures, _, _ in line.parts] == [{1: report}, {}]


def test_a_result_that_cannot_be_sent_waits_and_then_fails_alone(
    items: FinishedItems, line: Line, clock: Clock
) -> None:
    items.results += [1, threading.Lock(), 3]
    clock.now_s += 1.0
    items.send_ahead()
    assert line.parts == []
    items.send(is_last=True)
    assert line.results == [1, None, 3]
    assert list(line.parts[0][2]) == [1]


def test_neighbours_of_an_item_that_hangs_are_sent_while_it_does(line: Line) -> None:
    def hang(value: int) -> int:
        if value == 3:
            assert line.has_part.wait(30)
        return value

    FunctionWork(hang).do([1, 2, 3, 4], line.send)
    assert line.parts[0][1] == [1, 2]
    assert line.results == [1, 2, 3, 4]


def test_each_result_is_sent_once_whatever_two_threads_do(line: Line) -> None:
    ticks = count(0.0, PART_INTERVAL_S)
    items = FinishedItems(20_000, line.send, lambda: next(ticks))  # it is always time
    is_over = threading.Event()

    def send_all_the_time() -> None:
        while not is_over.is_set():
            items.send_ahead()

    sender = threading.Thread(target=send_all_the_time)
    sender.start()
    for number in range(20_000):
        items.results.append(number)
        if number % 100 == 0:
            items.send()
    is_over.set()
    sender.join()
    items.send(is_last=True)
    assert line.results == list(range(20_000))
    assert [first for first, *_ in line.parts] == [
        sum(len(part[1]) for part in line.parts[:n]) for n in range(len(line.parts))
    ]
