"""What is made of what ``go`` returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tracking.slave.work import WrongReturn, in_order_of
from tracking.wire.messages import REPORT_RESULT


@pytest.mark.parametrize("order", [list, reversed, lambda ids: [*ids[2:], *ids[:2]]])
def test_results_go_back_in_the_order_of_the_items_whatever_order_go_makes_them_in(order: Callable[[Any], Any]) -> None:
    ids: list[Any] = ["a", 1, (2, 3), None, 2.5]
    assert in_order_of(ids, {id: repr(id) for id in order(ids)}) == (list(map(repr, ids)), {})


def test_an_item_that_go_left_out_is_reported_and_the_others_count() -> None:
    results, failures = in_order_of(["a", "b", "c"], {"c": 3, "a": 1})
    assert results == [1, None, 3]
    assert failures == {1: (REPORT_RESULT, "go returned no result for id 'b'", "", None)}


def test_a_result_none_is_a_result() -> None:
    assert in_order_of(["a", "b"], {"b": None, "a": None}) == ([None, None], {})


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (["a"], r"go must return a dict \{id: result\}; it returned a list"),
        (None, "it returned a NoneType"),
        ({"a": 1, "z": 2}, "go returned results for ids that it was not given: 'z'"),
    ],
)
def test_what_is_no_answer_is_refused(returned: Any, words: str) -> None:
    with pytest.raises(WrongReturn, match=words):
        in_order_of(["a"], returned)
