"""What is finished of a job that still runs is sent ahead: each result once, in order; and what runs is told."""

from __future__ import annotations

import threading
from itertools import count, pairwise
from typing import Any

import pytest

from tracking.slave.ahead import PART_INTERVAL_S, Failures, FinishedItems, part_interval_s
from tracking.slave.work import FunctionWork
from tracking.wire import codec

PATIENCE_S = 30.0
INTERVAL_S = 1.25  # a tick is a fifth of it: all times here are exact in binary
LONG_S = 5.0


class Line:
    """Keeps what was sent, decoded."""

    def __init__(self) -> None:
        self.parts: list[tuple[int, Any, Failures, float, bool, float | None]] = []
        self.has_part = threading.Event()

    def send(
        self,
        first: int,
        payload: codec.Payload,
        failures: Failures,
        seconds: float,
        is_last: bool,
        running_s: float | None,
    ) -> None:
        self.parts.append((first, codec.decode(payload), failures, seconds, is_last, running_s))
        self.has_part.set()

    @property
    def results(self) -> list[Any]:
        return [result for _, results, *_ in self.parts for result in results]

    @property
    def announced(self) -> list[tuple[int, float]]:
        """The items of which it was told that they run, and for how long."""
        return [(first + len(results), s) for first, results, _, _, _, s in self.parts if s is not None]

    @property
    def last(self) -> tuple[int, Any, bool, float | None]:
        """First item, results, whether the job is over, and what it told of the running item."""
        first, results, _, _, is_last, running_s = self.parts[-1]
        return first, results, is_last, running_s


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Job(FinishedItems):
    """A job of four items, whose main thread and watch are moved by hand."""

    def __init__(self, line: Line, clock: Clock, count: int = 4) -> None:
        super().__init__(count, line.send, INTERVAL_S, clock)
        self.clock = clock

    def take(self, seconds: float) -> None:
        """Time goes by in the running item, with all ticks that fall into it."""
        ticks = round(seconds / self.tick_s)
        for _ in range(ticks):
            self.clock.now_s += self.tick_s
            self.tick()
        self.clock.now_s += seconds - ticks * self.tick_s

    def done(self, result: Any, seconds: float = 0.0) -> None:
        """The running item ends, after so long, with this result."""
        self.take(seconds)
        if isinstance(result, Exception):
            self.fail(result)
        else:
            self.results.append(result)
        if self.is_asked:
            self.look()


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def job(line: Line, clock: Clock) -> Job:
    return Job(line, clock)


# ---- results


def test_what_is_finished_is_sent_ahead_when_an_item_takes_long(job: Job, line: Line) -> None:
    job.done(1)
    job.done(2)
    assert line.parts == []
    job.take(3 * INTERVAL_S)
    assert line.results == [1, 2]
    assert len([part for part in line.parts if part[1]]) == 1


def test_parts_and_the_rest_make_the_whole_with_all_its_time(job: Job, line: Line) -> None:
    for number in (1, 2, 3, 4):
        job.done(number, seconds=LONG_S)
    job.finish()
    assert line.results == [1, 2, 3, 4]
    assert [first for first, *_ in line.parts] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [is_last for _, _, _, _, is_last, _ in line.parts] == [False] * 7 + [True]
    assert sum(seconds for _, _, _, seconds, _, _ in line.parts) == 4 * LONG_S


def test_quick_items_are_sent_by_the_main_thread_in_parts(line: Line, clock: Clock) -> None:
    job = Job(line, clock, 1000)
    for number in range(1000):
        job.done(number, seconds=0.0625)
        if number % 4 == 3:
            job.tick()
    job.finish()
    assert line.results == list(range(1000))
    assert 40 <= len(line.parts) <= 51
    assert line.announced == []


def test_when_the_last_item_is_finished_nothing_goes_ahead_of_the_end(job: Job, line: Line) -> None:
    for number in (1, 2, 3):
        job.done(number)
    job.results.append(4)
    job.take(LONG_S)
    job.look()
    assert line.parts == []
    job.finish()
    assert line.parts == [(0, [1, 2, 3, 4], {}, LONG_S, True, None)]


def test_a_failed_item_goes_with_its_part(job: Job, line: Line) -> None:
    job.done(1)
    job.done(ValueError("no"))
    job.take(LONG_S)
    job.done(3)
    job.done(4)
    job.finish()
    assert line.results == [1, None, 3, 4]
    assert [(first, list(failures)) for first, _, failures, *_ in line.parts] == [(0, [1]), (2, []), (2, []), (3, [])]


def test_failures_alone_are_a_part_too(job: Job, line: Line) -> None:
    job.done(ValueError("no"))
    job.take(LONG_S)
    assert line.parts[0][1] == [None]
    assert line.parts[0][2][0][1] == "ValueError: no"


def test_a_result_that_cannot_be_sent_waits_and_then_fails_alone(job: Job, line: Line) -> None:
    job.done(1)
    job.done(threading.Lock())
    job.take(LONG_S)
    assert line.parts == []
    job.done(3)
    assert line.results == [1, None, 3]
    assert list(line.parts[0][2]) == [1]


# ---- the running item


def test_an_item_that_takes_long_is_announced_once(job: Job, line: Line) -> None:
    job.take(10 * INTERVAL_S)
    assert line.parts == [(0, [], {}, 0.0, False, INTERVAL_S)]


def test_an_announced_item_behind_quick_ones_has_been_running_for_no_longer_than_said(job: Job, line: Line) -> None:
    job.done(1, seconds=0.6 * job.tick_s)
    job.done(2, seconds=0.6 * job.tick_s)
    job.take(INTERVAL_S + 3 * job.tick_s)
    ((item, running_s),) = line.announced
    assert item == 2
    assert INTERVAL_S <= running_s <= INTERVAL_S + 3 * job.tick_s


def test_the_end_of_an_announced_item_is_told_at_once(job: Job, line: Line) -> None:
    job.done(1, seconds=2 * INTERVAL_S)
    assert line.last == (0, [1], False, None)
    job.done(2)
    assert line.last == (0, [1], False, None)


def test_the_end_of_an_announced_last_item_is_that_of_the_job(line: Line, clock: Clock) -> None:
    job = Job(line, clock, 1)
    job.done("slow", seconds=LONG_S)
    job.finish()
    assert line.announced == [(0, INTERVAL_S)]
    assert line.last == (0, ["slow"], True, None)


def test_a_failed_announced_item_is_told_at_once(job: Job, line: Line) -> None:
    job.done(ValueError("no"), seconds=LONG_S)
    assert line.last == (0, [None], False, None)
    assert list(line.parts[-1][2]) == [0]


def test_each_slow_item_is_announced_with_its_own_time(job: Job, line: Line) -> None:
    for number in (1, 2, 3, 4):
        job.done(number, seconds=LONG_S)
    assert line.announced == [(item, INTERVAL_S) for item in range(4)]


def test_a_short_limit_makes_shorter_intervals() -> None:
    assert part_interval_s(None) == part_interval_s(1000) == PART_INTERVAL_S
    assert part_interval_s(0.4) == 0.1


# ---- in threads


def test_neighbours_of_an_item_that_hangs_are_sent_while_it_does(line: Line) -> None:
    def hang(value: int) -> int:
        if value == 3:
            assert line.has_part.wait(PATIENCE_S)
        return value

    FunctionWork(hang).do([1, 2, 3, 4], line.send)
    assert line.parts[0][1] == [1, 2]
    assert line.results == [1, 2, 3, 4]


@pytest.mark.parametrize("values", [["hang"], [1, "hang", 2]])
def test_an_item_with_a_limit_is_announced_while_it_runs(line: Line, values: list[Any]) -> None:
    def hang(value: Any) -> Any:
        while value == "hang" and not line.announced:
            assert line.has_part.wait(PATIENCE_S)
            line.has_part.clear()
        return value

    FunctionWork(hang, item_timeout_s=0.1).do(values, line.send)
    assert [item for item, _ in line.announced] == [values.index("hang")]
    assert line.results == values
    assert line.last[2]


def test_an_item_alone_without_a_limit_needs_no_watch(line: Line) -> None:
    FunctionWork(lambda value: threading.active_count()).do([1], line.send)
    assert line.results == [threading.active_count()]


def test_each_result_is_sent_once_whatever_two_threads_do(line: Line) -> None:
    ticks = count(0.0, PART_INTERVAL_S)
    items = FinishedItems(20_000, line.send, PART_INTERVAL_S, lambda: next(ticks))  # it is always time
    is_over = threading.Event()

    def tick_all_the_time() -> None:
        while not is_over.is_set():
            items.tick()

    watch = threading.Thread(target=tick_all_the_time)
    watch.start()
    for number in range(20_000):
        if number % 7:
            items.results.append(number)
        else:
            items.fail(ValueError(number))
        if items.is_asked:
            items.look()
    is_over.set()
    watch.join()
    items.finish()
    assert line.results == [number if number % 7 else None for number in range(20_000)]
    assert all(first + len(results) == then[0] for (first, results, *_), then in pairwise(line.parts))
    failed = [index for _, _, failures, *_ in line.parts for index in failures]
    assert failed == list(range(0, 20_000, 7))
    for (_, _, _, _, _, running_s), (_, results, *_) in pairwise(line.parts):
        assert running_s is None or len(results) == 1, "the end of what was announced is told before anything else"
