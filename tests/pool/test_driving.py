"""Who turns the loop: masters, the pool's thread and those who wait for a call, one at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue

import pytest

from tests.pool.helpers import WAIT_S, Noting
from tracking.pool.driving import Driving
from tracking.pool.loop import Loop


class Wheel:
    """A loop, the driving of it, and a note of every thread that has turned it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.loop = Loop(self.lock, lambda: 0.0)
        self.turners: SimpleQueue[str] = SimpleQueue()
        self.is_turned = False
        self.driving = Driving(self.lock, self.turn, self.loop.wake)
        self.server = threading.Thread(target=self.driving.serve, name="server")

    def turn(self, timeout_s: float | None) -> None:
        assert not self.is_turned, "two threads turn the loop"
        self.is_turned = True
        self.turners.put(threading.current_thread().name)
        self.loop.turn(timeout_s)
        self.is_turned = False


class Driver(Noting):
    """A client that can drive."""

    can_drive = True


@pytest.fixture
def wheel() -> Iterator[Wheel]:
    wheel = Wheel()
    yield wheel
    wheel.driving.stop()
    if wheel.server.is_alive():
        wheel.server.join()
    wheel.loop.close()
    assert wheel.driving.fault is None


def in_thread(action: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=action, name="other")
    thread.start()
    return thread


def test_the_pool_s_thread_turns_until_a_client_comes_to_drive(wheel: Wheel) -> None:
    wheel.server.start()
    assert wheel.turners.get(timeout=WAIT_S) == "server"
    client = Driver(1)
    with wheel.lock:
        wheel.driving.choose([client])
    assert wheel.driving.may_drive(client)
    while wheel.turners.empty() or wheel.turners.get() != "MainThread":
        wheel.driving.turn_unless(lambda: True, None)
    assert wheel.turners.empty()


def test_two_who_want_something_leave_it_to_the_pool_s_thread(wheel: Wheel) -> None:
    one, two = Driver(1), Driver(2)
    wheel.driving.choose([one])
    assert wheel.driving.may_drive(one)
    wheel.driving.choose([one, two])
    assert not wheel.driving.may_drive(one)
    assert not wheel.driving.may_drive(two)
    wheel.driving.choose([two])
    assert not wheel.driving.may_drive(one)
    assert wheel.driving.may_drive(two)


def test_who_cannot_drive_does_not(wheel: Wheel) -> None:
    client = Noting(1)
    wheel.driving.choose([client])
    assert not wheel.driving.may_drive(client)


def test_a_driver_that_waits_leaves_when_another_client_comes(wheel: Wheel) -> None:
    client = Driver(1)
    wheel.driving.choose([client])
    assert wheel.driving.may_drive(client)
    thread = in_thread(lambda: wheel.driving.turn_unless(lambda: False, WAIT_S))
    wheel.turners.get(timeout=WAIT_S)
    wheel.driving.choose([client, Driver(2)])
    thread.join(WAIT_S / 2)
    assert not thread.is_alive()


def test_who_waits_for_something_helps_until_it_is_there(wheel: Wheel) -> None:
    is_there = threading.Event()
    thread = in_thread(lambda: wheel.driving.help_until(is_there.is_set, None))
    assert wheel.turners.get(timeout=WAIT_S) == "other"
    is_there.set()
    wheel.loop.wake()
    thread.join(WAIT_S / 2)
    assert not thread.is_alive()


def test_a_helper_is_told_when_another_thread_has_brought_what_it_waits_for(wheel: Wheel) -> None:
    is_there = threading.Event()
    thread = in_thread(lambda: wheel.driving.help_until(is_there.is_set, None))
    wheel.turners.get(timeout=WAIT_S)
    wheel.driving.later(is_there.set)
    wheel.driving.run_later()
    thread.join(WAIT_S / 2)
    assert not thread.is_alive()


def test_the_pool_s_thread_comes_back_after_a_long_help(wheel: Wheel) -> None:
    is_there = threading.Event()
    helper = in_thread(lambda: wheel.driving.help_until(is_there.is_set, None))
    wheel.turners.get(timeout=WAIT_S)
    wheel.server.start()
    is_there.set()
    wheel.loop.wake()
    helper.join()
    while wheel.turners.get(timeout=WAIT_S) != "server":
        pass


def test_a_second_helper_leaves_the_turning_to_the_first(wheel: Wheel) -> None:
    is_there = threading.Event()
    first = in_thread(lambda: wheel.driving.help_until(is_there.is_set, None))
    wheel.turners.get(timeout=WAIT_S)
    assert wheel.driving.help_until(is_there.is_set, 7.0) == pytest.approx(7.0, abs=5.0)
    is_there.set()
    wheel.loop.wake()
    first.join()


def test_a_helper_does_no_more_for_others_than_it_must(wheel: Wheel) -> None:
    done: list[str] = []
    wheel.driving.later(lambda: done.append("mine"))
    wheel.driving.later(lambda: done.append("another's"))
    wheel.driving.help_until(lambda: "mine" in done, None)
    assert done == ["mine"]
    wheel.server.start()  # has that left to do
    ran = threading.Event()
    wheel.driving.later(ran.set)
    wheel.driving.hurry_later()
    assert ran.wait(WAIT_S)
    assert done == ["mine", "another's"]


def test_a_fault_stops_everybody_and_is_raised_where_a_client_drives() -> None:
    def fail(timeout_s: float | None) -> None:
        raise ZeroDivisionError("a fault")

    driving = Driving(threading.RLock(), fail, lambda: None)
    driving.help_until(lambda: False, None)
    assert driving.is_stopping
    with pytest.raises(ZeroDivisionError):
        driving.turn_unless(lambda: False, None)
    driving.serve()
