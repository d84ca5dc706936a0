"""The desk: a master that turns its crew's loop may let answers lie for a moment, if none is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from tracking.master.desk import Desk, Note, Woken
from tracking.pool.crew import Crew


class Calls:
    """Stands for a crew, and notes what it is asked to do."""

    def __init__(self, *, drives: bool) -> None:
        self.noted: list[Any] = []
        self._drives = drives

    def is_driver(self, client: object) -> bool:
        return self._drives

    def rest(self, rest_s: float) -> None:
        self.noted.append(("rest", rest_s))

    def turn_unless(self, is_done: Callable[[], bool], timeout_s: float) -> None:
        self.noted.append(("turn", timeout_s))

    def wake(self) -> None: ...


def notes(desk: Desk, rest_s: float) -> list[Note]:
    taken: list[Note] = []
    desk.take(0.0, taken.append, rest_s)
    return taken


@pytest.mark.parametrize(
    ("drives", "rest_s", "noted"),
    [
        (True, 0.002, [("rest", 0.002), ("turn", 0.0)]),
        (True, 0.0, [("turn", 0.0)]),
        (False, 0.002, []),
    ],
)
def test_only_who_turns_the_loop_may_rest_before(drives: bool, rest_s: float, noted: list[Any]) -> None:
    crew = Calls(drives=drives)
    assert notes(Desk(7, cast("Crew", crew)), rest_s) == []
    assert crew.noted == noted


def test_what_lies_there_is_taken_without_a_rest() -> None:
    crew = Calls(drives=True)
    desk = Desk(7, cast("Crew", crew))
    desk.wake()
    assert [type(note) for note in notes(desk, 0.002)] == [Woken]
    assert crew.noted == [("turn", 0.0)]


def test_that_a_host_is_given_up_makes_the_master_look_around_at_once() -> None:
    desk = Desk(7, cast("Crew", Calls(drives=False)))
    desk.host_is_given_up("snoopy", "no route to host")
    assert [type(note) for note in notes(desk, 0.0)] == [Woken]
