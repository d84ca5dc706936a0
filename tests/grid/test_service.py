"""Services with parameters, and the helpers of grids."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import ClassVar

import pytest

from tests.grid.things import Replica
from tests.pool.helpers import WAIT_S
from tracking.grid import AbstractService, Grid, GridClosed, Pipe, SortedQueue, TimeoutError, UnknownService, WatchDog
from tracking.grid.queues import FreeServers

ROOT = Path(__file__).resolve().parents[2]


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
    result = service.add(1, b=2)
    assert result.get(WAIT_S) == (3, {"state": {"x": 5}})
    assert (result.value, result.error, result.event.is_set()) == (3, None, True)


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

    result = Failing(one, one.publish(Replica())).add(1)
    with pytest.raises(KeyError):
        result.get(WAIT_S)
    assert isinstance(result.error, KeyError)


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


def test_who_has_waited_longest_gets_what_becomes_free() -> None:
    queue: FreeServers[int] = FreeServers()
    first, waits = Future[int](), threading.Event()
    has_turn = queue._has_turn
    queue._has_turn = lambda mark: (waits.set(), has_turn(mark))[1]  # type: ignore[method-assign]
    thread = threading.Thread(target=lambda: first.set_result(queue.get()))
    thread.start()
    assert waits.wait(WAIT_S)
    with queue._changed:  # it waits, and others come before it can wake
        queue.put(1)
        with pytest.raises(TimeoutError):
            queue.get(block=False)
    assert first.result(WAIT_S) == 1
    thread.join(WAIT_S)


def test_who_is_told_of_an_end_gets_an_error_of_his_own() -> None:
    queue: FreeServers[int] = FreeServers()
    queue.close(GridClosed("it is over"))
    told = []
    for _ in range(2):
        with pytest.raises(GridClosed, match="it is over") as caught:
            queue.get()
        told.append(caught.value)
    assert told[0] is not told[1]


def test_a_watchdog_bites_when_nothing_is_heard() -> None:
    bitten: list[int] = []
    dog = WatchDog(0.0001, lambda: bitten.append(1))
    dog.start()
    dog.join(WAIT_S)
    assert bitten == [1]


def test_a_watchdog_ends_its_process_as_if_all_were_well() -> None:
    code = "import threading\nfrom tracking.grid import WatchDog\nWatchDog(0.001).start()\nthreading.Event().wait()"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=WAIT_S, cwd=ROOT).returncode == 0


def test_a_watchdog_that_is_stopped_does_not_bite() -> None:
    bitten: list[int] = []
    dog = WatchDog(60, lambda: bitten.append(1))
    dog.start()
    dog.set()
    dog.stop()
    dog.join(WAIT_S)
    assert not bitten
