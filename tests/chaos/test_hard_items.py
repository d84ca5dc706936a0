"""Items that abuse their process: each costs at most itself, and the calculation ends."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.chaos.abuses import (
    BAD,
    Contrary,
    IncomparableId,
    Reduced,
    Unprintable,
    Unreducible,
    abort,
    become_another_program,
    break_builtins,
    change_surroundings,
    close_all_descriptors,
    close_streams,
    daemonize,
    drop_streams,
    exit_well,
    forbid_descriptors,
    forbid_files,
    ignore_signals,
    kill_itself,
    need_too_much_memory,
    nested,
    print_much,
    raise_it,
    raiser,
    read_from_nowhere,
    recurse_for_ever,
    ring_an_alarm,
    square_unless,
    start_a_busy_thread,
    start_endless_threads,
)
from tests.master.helpers import is_alive, master_of, squares, wait_until
from tracking import ItemKilledSlave, ItemRaised, ItemResultError

N_ITEMS = 6
NONE_OF_BAD = {n: n * n for n in range(N_ITEMS) if n != BAD}


# ---- what ends the process


@pytest.mark.parametrize(
    ("abuse", "end"),
    [
        (exit_well, "ended with exit status 0"),
        (close_all_descriptors, "was killed by SIGKILL"),
        (kill_itself, "was killed by SIGKILL"),
        (read_from_nowhere, "was killed by SIGSEGV"),
        (abort, "was killed by SIGABRT"),
        (become_another_program, "was killed by SIGKILL"),
        (daemonize, "ended with exit status 0"),
        (ring_an_alarm, "was killed by SIGALRM"),
        (break_builtins, "ended with exit status"),
    ],
)
def test_an_item_that_ends_its_process_costs_only_itself(abuse: Callable[[], Any], end: str) -> None:
    master = master_of(N_ITEMS, square_unless(abuse), hosts=2, on_error="collect")
    assert master.calculateResult() == NONE_OF_BAD
    assert isinstance(master.errors[BAD], ItemKilledSlave)
    assert end in str(master.errors[BAD])


def test_whoever_kills_all_processes_of_its_group_does_not_reach_the_master() -> None:
    master = master_of(N_ITEMS, square_unless(lambda: os.kill(0, signal.SIGKILL)), hosts=2, on_error="collect")
    assert master.calculateResult() == NONE_OF_BAD
    assert master.errors.keys() == {BAD}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_whoever_starts_the_slaves_is_replaced_when_an_item_kills_or_stops_it(tmp_path: Path, number: int) -> None:
    first = str(tmp_path / "first")

    def item(value: int) -> int:
        if value == BAD and not os.path.exists(first):
            Path(first).touch()
            os.kill(os.getppid(), number)
            os.kill(os.getpid(), signal.SIGKILL)
        return value * value

    assert master_of(40, item, hosts=2, chunk_size=1).calculateResult() == squares(40)


@pytest.mark.parametrize("redistribute", [0, 1])
def test_an_item_whose_slave_is_stopped_by_others_is_not_blamed_by_its_time_limit(
    tmp_path: Path, redistribute: int
) -> None:
    first = str(tmp_path / "first")

    def item(value: int) -> int:
        if value == BAD and not os.path.exists(first):
            Path(first).touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        return value * value

    master = master_of(N_ITEMS, item, hosts=2, item_timeout=1.5, redistribute=redistribute)
    assert master.calculateResult() == squares(N_ITEMS)


# ---- what stays in the process, or beside it


@pytest.mark.parametrize(
    "abuse",
    [
        change_surroundings,
        ignore_signals,
        start_endless_threads,
        start_a_busy_thread,
        drop_streams,
        close_streams,
        print_much,
        forbid_descriptors,
        forbid_files,
    ],
)
def test_an_item_that_spoils_its_process_is_answered_and_so_are_the_others(abuse: Callable[[], Any]) -> None:
    assert master_of(N_ITEMS, square_unless(abuse), hosts=2).calculateResult() == squares(N_ITEMS)


def test_children_of_items_that_live_on_hold_nobody_up(tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    def item(value: int) -> int:
        child = os.fork()
        if not child:
            time.sleep(600)
            os._exit(0)
        other = subprocess.Popen(["sleep", "600"], start_new_session=True)
        with open(pids, "a") as file:
            file.write(f"{child} {other.pid}\n")
        other.returncode = 0  # nobody waits for it
        return value * value

    try:
        assert master_of(N_ITEMS, item, hosts=2).calculateResult() == squares(N_ITEMS)
    finally:
        left = [int(pid) for pid in pids.read_text().split() if is_alive(int(pid))]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not any(map(is_alive, left)), "the end of the children")


# ---- what is raised


@pytest.mark.parametrize(
    ("abuse", "text"),
    [
        (raiser(KeyboardInterrupt()), "KeyboardInterrupt"),
        (raiser(SystemExit(3)), "SystemExit: 3"),
        (raiser(GeneratorExit()), "GeneratorExit"),
        # Made there: where tblib is loaded, as Dask does, a group of exceptions can be pickled but not unpickled.
        (lambda: raiser(BaseExceptionGroup("both", [KeyboardInterrupt()]))(), "BaseExceptionGroup: both"),
        (lambda: raiser(Unprintable())(), "Unprintable"),
        (recurse_for_ever, "RecursionError"),
        (need_too_much_memory, "MemoryError"),
    ],
)
def test_whatever_an_item_raises_costs_only_itself(abuse: Callable[[], Any], text: str) -> None:
    master = master_of(N_ITEMS, square_unless(abuse), hosts=2, on_error="collect")
    assert master.calculateResult() == NONE_OF_BAD
    assert isinstance(master.errors[BAD], ItemRaised)
    assert text in str(master.errors[BAD])


# ---- what comes back


@pytest.mark.parametrize(
    "result",
    [
        lambda: Unreducible(RuntimeError("no reduce")),
        lambda: Unreducible(SystemExit(3)),
        lambda: Unreducible(KeyboardInterrupt()),
        lambda: Reduced(int, "no number"),
        lambda: Reduced(sys.exit, 3),
        lambda: Reduced(eval, "(f := lambda: f())()"),
        nested,
    ],
)
def test_a_result_that_cannot_be_sent_or_read_costs_only_itself(result: Callable[[], Any]) -> None:
    master = master_of(N_ITEMS, square_unless(result), hosts=2, on_error="collect")
    assert master.calculateResult() == NONE_OF_BAD
    assert isinstance(master.errors[BAD], ItemResultError | ItemRaised)


def test_values_and_results_are_asked_nothing(tmp_path: Path) -> None:
    data = {number: Contrary() for number in range(4)}
    master = master_of(data, lambda _: Contrary(), run_file=tmp_path / "it.run")
    assert {id: type(result) for id, result in master.calculateResult().items()} == dict.fromkeys(data, Contrary)


def test_an_error_about_a_value_that_has_no_text_is_told() -> None:
    master = master_of({1: Contrary()}, raise_it, on_error="collect")
    master.calculateResult()
    assert "item 1 on localhost: ValueError" in str(master.errors[1])


def test_ids_need_only_be_hashable() -> None:
    data = {IncomparableId(number): number for number in range(4)} | {float("nan"): 4}
    assert sorted(master_of(data).calculateResult().values()) == [0, 1, 4, 9, 16]


def test_results_of_hundreds_of_megabytes_come() -> None:
    assert len(master_of(1, lambda _: bytes(200_000_000)).calculateResult()[0]) == 200_000_000


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.ENOMEM, errno.EMFILE, errno.ENOSYS])
def test_large_shared_objects_travel_where_no_memory_can_be_mapped(number: int, monkeypatch: Any) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "memfd_create", refuse)
    large = np.ones(1_000_000)
    assert master_of(4, lambda value: value * large[value]).calculateResult() == {0: 0, 1: 1, 2: 2, 3: 3}
