"""Large arrays of functions that came by value do not pile up in a slave, whatever brings them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from tests.pool.helpers import WAIT_S
from tracking import JobSlave, SlavePool, TrackingJobMaster
from tracking.slave.leftovers import MOST_BYTES, Leftovers, size_of
from tracking.wire import codec, mainmodule

SIZE = 20_000_000
CALLS = 12
MOST = -(-MOST_BYTES // SIZE) + 1  # those that may be left, and the one in use

_seen: list[weakref.ref[Any]] = []


def alive_with(array: Any) -> int:
    """How many of the arrays that came here are still there, this one included."""
    _seen.append(weakref.ref(array))
    return sum(ref() is not None for ref in _seen)


def counting_function() -> Callable[[int], int]:
    """A function by value that brings an array along, and holds itself, as one of ``__main__`` does by its globals."""
    array = np.zeros(SIZE // 8)

    def count(n: int) -> int:
        return alive_with(array) if n else count(n + 1)

    return count


def by_calls(pool: SlavePool) -> int:
    return pool.submit(counting_function(), 1).result(WAIT_S)


def by_maps(pool: SlavePool) -> int:
    return next(pool.map(counting_function(), [1]))


def by_sessions(pool: SlavePool) -> int:
    with pool.session(partial(counting_function(), 1)) as session:
        return session.submit(lambda n: n).result(WAIT_S)


def by_masters(pool: SlavePool) -> int:
    result = TrackingJobMaster({0: 1}, function=counting_function(), pool=pool, verbose=0).calculateResult()
    return result[0]


class Keeper(JobSlave):
    def initialize(self, params: Any) -> None:
        self.array = params
        self.oneself = self

    def go(self, jobs: dict[Any, Any]) -> dict[Any, Any]:
        return dict.fromkeys(jobs, alive_with(self.array))


def by_parameters(pool: SlavePool) -> int:
    master = TrackingJobMaster({0: 1}, slave_script=Keeper, pool=pool, verbose=0)
    master.getInitParameters = lambda tid: np.zeros(SIZE // 8)  # type: ignore[method-assign]
    return master.calculateResult()[0]


@pytest.mark.parametrize("once", [by_calls, by_maps, by_sessions, by_masters, by_parameters])
def test_a_slave_lets_go_of_arrays_that_functions_brought_along(once: Callable[[SlavePool], int]) -> None:
    with SlavePool(1) as pool:
        counts = [once(pool) for _ in range(CALLS)]
    assert max(counts) <= MOST < CALLS, counts


def test_it_looks_when_much_is_left_and_then_begins_anew() -> None:
    looks: list[None] = []
    leftovers = Leftovers(lambda: looks.append(None))
    for _ in range(6):
        leftovers.of_size(MOST_BYTES // 2)
    assert len(looks) == 3


def test_values_leave_nothing_and_a_collector_that_is_off_stays_off() -> None:
    looks: list[None] = []
    leftovers = Leftovers(lambda: looks.append(None))
    leftovers.of_job(codec.encode(np.zeros(MOST_BYTES), "values"))
    assert not looks
    payload = mainmodule.encode_function((counting_function(), np.zeros(MOST_BYTES)), "a call")
    assert size_of(payload) > MOST_BYTES
    gc.disable()
    try:
        leftovers.of_job(payload)
        assert not looks
    finally:
        gc.enable()
    leftovers.of_job(payload)
    assert looks


def test_what_is_small_has_no_size() -> None:
    assert size_of(b"a pickle") == size_of(None) == 0
