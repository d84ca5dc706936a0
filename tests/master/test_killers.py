"""Several items that kill every slave which takes them, with the usual options: each costs itself, and nothing else."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.master.helpers import master_of, squares
from tracking import ItemKilledSlave, IteratorMapping, NoSlavesError, SlavePool

N_ITEMS = 40
KILLERS: dict[str, Callable[[int], bool]] = {
    "the first 8": lambda n: n < 8,
    "the last 8": lambda n: n >= N_ITEMS - 8,
    "every third": lambda n: n % 3 == 0,
}


def square_unless(kills: Callable[[int], bool]) -> Callable[[int], int]:
    def item(n: int) -> int:
        if kills(n):
            os.kill(os.getpid(), signal.SIGKILL)
        return n * n

    return item


@pytest.mark.parametrize("which", KILLERS)
@pytest.mark.parametrize("chunk_size", [1, 5, "auto"])
@pytest.mark.parametrize("hosts", [1, 2, 4])
def test_items_that_kill_are_named_and_all_others_have_results(which: str, chunk_size: int, hosts: int) -> None:
    kills = KILLERS[which]
    master = master_of(
        N_ITEMS, square_unless(kills), hosts=["localhost"] * hosts, chunk_size=chunk_size, on_error="collect"
    )
    assert master.calculateResult() == {n: n * n for n in range(N_ITEMS) if not kills(n)}
    assert set(master.errors) == {n for n in range(N_ITEMS) if kills(n)}
    assert {type(error) for error in master.errors.values()} == {ItemKilledSlave}


def test_they_are_named_again_by_a_run_that_has_nothing_else_left_to_do(tmp_path: Path) -> None:
    for _ in range(2):
        master = master_of(
            N_ITEMS,
            square_unless(lambda n: n < 6),
            hosts=["localhost"] * 2,
            run_file=tmp_path / "run",
            on_error="collect",
        )
        assert master.calculateResult() == {n: n * n for n in range(6, N_ITEMS)}
        assert set(master.errors) == set(range(6))


def test_so_they_are_where_values_come_in_order_only() -> None:
    data = IteratorMapping(iter(range(N_ITEMS)), N_ITEMS)
    master = master_of(data, square_unless(lambda n: n < 3), hosts=2, chunk_size=1, on_error="collect")
    assert master.calculateResult() == {n: n * n for n in range(3, N_ITEMS)}
    assert set(master.errors) == {0, 1, 2}


def test_a_host_on_which_everything_kills_costs_the_calculation_and_no_item() -> None:
    master = master_of(N_ITEMS, square_unless(lambda n: True), hosts=2, host_failures=4)
    with pytest.raises(NoSlavesError, match="4 slaves died there without a job done between them"):
        master.calculateResult()
    assert not master.errors


def test_calls_that_kill_fail_and_all_others_are_made() -> None:
    with SlavePool(["localhost"] * 2) as pool:
        calls = [pool.submit(square_unless(lambda n: n < 8), n) for n in range(N_ITEMS)]
        errors = [call.exception() for call in calls]
        assert {type(error) for error in errors[:8]} == {ItemKilledSlave}
        assert [call.result() for call in calls[8:]] == [n * n for n in range(8, N_ITEMS)]


def test_calls_that_kill_do_not_end_a_pool_that_has_worked_for_others() -> None:
    with SlavePool(1, host_failures=5) as pool:
        assert master_of(4, pool=pool).calculateResult() == squares(4)
        calls = [pool.submit(square_unless(lambda n: True), n) for n in range(3)]
        assert {type(call.exception()) for call in calls} == {ItemKilledSlave}
        assert pool.submit(pow, 2, 3).result() == 8


def test_the_last_item_may_take_the_last_slave_with_it() -> None:
    master = master_of(1, square_unless(lambda n: True), host_failures=2, on_error="collect")
    assert master.calculateResult() == {}
    assert type(master.errors[0]) is ItemKilledSlave
