"""Services with parameters, and the helpers of grids."""

from __future__ import annotations

from typing import ClassVar

import pytest

from tests.grid.things import Replica
from tests.pool.helpers import WAIT_S
from tracking.grid import AbstractService, Grid, Pipe, SortedQueue, TimeoutError, UnknownService, WatchDog
from tracking.grid.queues import FreeServers


class States(AbstractService):
    _parameters: ClassVar = {"state": {"x": 5}, "energy": 2.5}
    _set_methods: ClassVar = {"state": "set_state"}
    _get_methods: ClassVar = {"state": "get_state"}


def test_parameters_travel_with_each_call(one: Grid) -> None:
    service = States(one, one.publish(Replica()), debug=True)
    assert service.evaluate(True).get(WAIT_S) == (2.5, True)
    assert service.evaluate(False).attributes(WAIT_S) == {"state": {"x": 5}}
    assert one.queues[service.service_id].qsize() == 1, "it was released each time"


def test_attributes_come_with_the_value_if_wanted(one: Grid) -> None:
    service = States(one, one.publish(Replica()), return_remote_attributes=True)
    assert service.add(1, b=2).get(WAIT_S) == (3, {"state": {"x": 5}})


def test_a_service_without_parameters_works_as_it_is(one: Grid) -> None:
    service = AbstractService(one, one.publish(Replica()))
    assert service.add(1).get(WAIT_S) == 1
    with pytest.raises(KeyError):
        service.fail("x").get(WAIT_S)
    with pytest.raises(AttributeError):
        _ = service._nothing


def test_a_parameter_that_cannot_be_set_fails_the_call(one: Grid) -> None:
    class Failing(States):
        _set_methods: ClassVar = {"state": "fail"}

    with pytest.raises(KeyError):
        Failing(one, one.publish(Replica())).add(1).get(WAIT_S)


def test_an_unknown_service_is_refused(one: Grid) -> None:
    with pytest.raises(UnknownService):
        AbstractService(one, "x")


def test_a_pipe_keeps_the_last_values() -> None:
    pipe = Pipe(3)
    assert pipe.mean() is None
    for value in range(5):
        pipe.append(value)
    assert (list(pipe), len(pipe), pipe.mean()) == ([2, 3, 4], 3, 3)


def test_a_sorted_queue_gives_the_smallest_first() -> None:
    queue = SortedQueue(key=len)
    for item in ("ccc", "a", "bb", "d"):
        queue.put(item)
    assert queue.qsize() == 4
    assert [queue.get() for _ in range(4)] == ["a", "d", "bb", "ccc"]
    assert queue.empty()
    with pytest.raises(TimeoutError):
        queue.get(timeout=0)


def test_free_servers_are_there_once_and_can_be_taken_out() -> None:
    queue: FreeServers[str] = FreeServers()
    queue.put("a")
    queue.put("a")
    queue.put("b")
    queue.remove("a")
    assert (queue.qsize(), queue.get(), queue.empty()) == (1, "b", True)
    queue.close(KeyError("closed"))
    with pytest.raises(KeyError):
        queue.get()


def test_a_watchdog_bites_when_nothing_is_heard() -> None:
    bitten: list[int] = []
    dog = WatchDog(0.0001, lambda: bitten.append(1))
    dog.start()
    dog.join(WAIT_S)
    assert bitten == [1]


def test_a_watchdog_that_is_stopped_does_not_bite() -> None:
    bitten: list[int] = []
    dog = WatchDog(60, lambda: bitten.append(1))
    dog.start()
    dog.set()
    dog.stop()
    dog.join(WAIT_S)
    assert not bitten
