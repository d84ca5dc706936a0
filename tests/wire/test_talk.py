"""What the other end of a relay's line says is what it should be, or refused."""

from __future__ import annotations

from typing import Any

import pytest

from tracking import ProtocolError
from tracking.wire import talk

WHAT = {"n": 3, "none": None, "s": 1.5, "t": "words", "l": ["a", "b"]}


def test_what_is_as_it_should_be_is_read() -> None:
    assert talk.number(WHAT, "n", 0, 3) == 3
    assert talk.number_or_none(WHAT, "none", 0, 3) is None
    assert talk.seconds(WHAT, "n", 0.0) == 3.0
    assert talk.seconds_or_none(WHAT, "missing", 0.0) is None
    assert talk.text(WHAT, "t") == "words"
    assert talk.texts(WHAT, "l") == ["a", "b"]


@pytest.mark.parametrize("value", [None, True, 1.0, "1", [1], -1, 11, 1 << 80])
def test_what_is_no_number_in_its_bounds_is_refused(value: Any) -> None:
    with pytest.raises(ProtocolError, match="'x' is no whole number from 0 to 10"):
        talk.number({"x": value}, "x", 0, 10)


@pytest.mark.parametrize("value", [None, False, "1", -0.5, float("nan"), float("inf"), 10**400])
def test_what_is_no_time_is_refused(value: Any) -> None:
    with pytest.raises(ProtocolError, match="'x' is no time"):
        talk.seconds({"x": value}, "x", 0.0)


@pytest.mark.parametrize("value", [None, 1, ["a"], "x" * 5000, "\ud800"])
def test_what_is_no_text_is_refused(value: Any) -> None:
    with pytest.raises(ProtocolError, match="'x' is no text"):
        talk.text({"x": value}, "x")


@pytest.mark.parametrize("value", [None, "ab", {"a": 1}, ["a", 1]])
def test_what_is_no_list_of_texts_is_refused(value: Any) -> None:
    with pytest.raises(ProtocolError):
        talk.texts({"x": value}, "x")
