"""Status: three states by id, all at the same small cost."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest

from tracking import InputError, Status


def test_items_come_in_their_order_and_are_counted_before_they_are_taken() -> None:
    status = Status({"a": 1, "b": 2, "c": 3})
    assert status.next_chunk(2) == (["a", "b"], 3)
    assert status.next_chunk(2) == (["c"], 1)
    assert dict(status.objects) == {"a": 1, "b": 1, "c": 1}


def test_what_is_active_is_given_out_again_the_least_often_given_first() -> None:
    status = Status("abc")
    status.next_chunk(3)
    status.objects["a"] = 2
    assert status.next_chunk(1) == (["b"], 3)
    assert status.next_chunk(5) == (["c", "a", "b"], 3)
    assert Status("abc", redistribute=0).next_chunk(9) == (["a", "b", "c"], 3)


def test_without_redistribution_nothing_is_given_out_twice() -> None:
    status = Status("ab", redistribute=0)
    status.next_chunk(2)
    assert status.next_chunk(2) == ([], 0)


def test_finished_items_are_finished() -> None:
    status = Status("ab")
    status.next_chunk(1)
    status.deactivate("a")
    assert dict(status.objects) == {"a": 0, "b": None}
    assert not status.done()
    status.next_chunk(1)
    status.deactivate("b")
    assert status.done()
    assert status.next_chunk(1) == ([], 0)


def test_the_lists_say_who_is_in_which_state() -> None:
    status = Status("abcde")
    status.objects = {"a": 0, "b": None, "c": 2, "d": 1, "e": None}
    assert status.not_started() == ["b", "e"]
    assert sorted(status.activ()) == ["c", "d"]
    assert status.not_done() == ["b", "e", "d", "c"]
    assert not status.done()


def test_an_item_that_was_never_given_out_cannot_be_finished() -> None:
    status = Status("ab")
    with pytest.raises(ValueError, match="'a' was never given out"):
        status.deactivate("a")
    assert status.objects["a"] is None


def test_an_item_that_does_not_exist_is_named() -> None:
    status = Status("ab")
    with pytest.raises(KeyError, match="there is no item 'x'"):
        status.deactivate("x")
    with pytest.raises(KeyError):
        status.objects["x"]


def test_a_finished_item_may_be_finished_again() -> None:
    status = Status("a")
    status.next_chunk(1)
    status.deactivate("a")
    status.deactivate("a")
    assert status.objects["a"] == 0


def test_objects_may_be_assigned_whole_with_other_ids() -> None:
    status = Status("ab")
    status.objects = {"x": None, "y": 0}
    assert status.next_chunk(5) == (["x"], 1)
    status.deactivate("x")
    assert status.done()


def test_objects_may_be_assigned_one_by_one_and_taken_over() -> None:
    first, second = Status("abc"), Status("abc")
    first.objects["b"] = 0
    second.objects = first.objects
    first.objects["a"] = 0
    assert dict(second.objects) == {"a": None, "b": 0, "c": None}
    second.objects = second.objects
    assert dict(second.objects) == {"a": None, "b": 0, "c": None}


@pytest.mark.parametrize("state", [-1, 1.5, "done", True])
def test_a_state_that_is_none_is_refused(state: Any) -> None:
    status = Status("a")
    with pytest.raises(InputError, match="the state of item 'a'"):
        status.objects["a"] = state
    with pytest.raises(InputError, match="the state of item 'a'"):
        status.objects = {"a": state}


def test_an_item_cannot_be_taken_out() -> None:
    with pytest.raises(TypeError, match="assign objects"):
        del Status("a").objects["a"]


def test_no_items_are_done() -> None:
    assert Status({}).done()
    assert Status({}).next_chunk(3) == ([], 0)


def lines_run(action: Any) -> int:
    """How many lines of Python an action runs: the same on any machine at any load."""
    count = 0

    def trace(frame: Any, event: str, arg: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("redistribute", [0, 1])
def test_a_call_costs_the_same_with_ten_items_and_with_a_hundred_thousand(redistribute: int) -> None:
    def costs(n: int) -> list[int]:
        status = Status(range(n), redistribute)
        first = [lines_run(lambda: status.next_chunk(3)), lines_run(status.done)]
        status.deactivate(1)  # the index by id is made once
        status.next_chunk(n - 5)
        return [
            *first,
            lines_run(lambda: status.next_chunk(1)),
            lines_run(lambda: status.deactivate(2)),
            lines_run(status.done),
            lines_run(lambda: status.next_chunk(1)),
        ]

    assert costs(100_000) == costs(10)


def test_many_threads_share_the_items() -> None:
    status = Status(range(2000), redistribute=0)
    taken: list[int] = []

    def work() -> None:
        while ids := status.next_chunk(3)[0]:
            taken.extend(ids)
            for id in ids:
                status.deactivate(id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(2000))
    assert status.done()


def test_a_status_shows_its_counts() -> None:
    status = Status("abcd")
    status.next_chunk(3)
    status.deactivate("a")
    assert repr(status) == "Status: 4 items, 1 finished, 2 active"


def test_a_data_dict_is_listed_when_somebody_asks_so_not_twice_at_a_start() -> None:
    data = {"a": 1}
    status = Status(data)
    data["b"] = 2
    assert status._tr_fits(data)
    assert "_tr_ids" not in vars(status)
    assert status.not_started() == ["a", "b"]
    data["c"] = 3
    assert not status._tr_fits(data)
    assert not Status(data)._tr_fits({"d": 4})
