"""What PARK's users asked for, one by one, where no other test shows it; docs/service.md says how each is done."""

from __future__ import annotations

import contextlib
import logging
import os
import random
from pathlib import Path
from typing import Any

import pytest

from tests.pool.jobs import wait_first
from tests.service.helpers import started
from tests.service.services import WAIT_S, Scripted, Sum, double, fail_on_odd, pid
from tracking import ItemError, SlavePool, TrackingJobMaster
from tracking.service import Client, ServiceHandler, proxy
from tracking.service.maps import Maps
from tracking.service.workers import Workers


def first_waits(value: tuple[str, str] | None) -> Any:
    return wait_first(*value) if value else os.getpid()


def test_a_slow_node_holds_nobody_up_its_work_is_given_to_others(own_pool: SlavePool, tmp_path: Path) -> None:
    gate = str(tmp_path / "gate")
    os.mkfifo(gate)  # it stays shut: whoever is given this value first never ends
    values = [None] * 6 + [(str(tmp_path / "mark"), gate)]
    assert len(Maps(Workers(own_pool)).map(first_waits, values, chunk_size=1)) == 7


def dear(folder: Path, n: int, value: int) -> int:
    """Value 0 takes longer than all others together: it waits at a gate, which the last of them opens."""
    if value == 0:
        (folder / "gate").read_bytes()
        return value
    (folder / "done" / str(value)).touch()
    if len(os.listdir(folder / "done")) == n - 1:
        with contextlib.suppress(FileExistsError):
            (folder / "opened").touch(exist_ok=False)
            (folder / "gate").write_bytes(b"")
    return value


def test_points_behind_a_dear_one_go_to_others(own_pool: SlavePool, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    os.mkdir(tmp_path / "done")
    found = Maps(Workers(own_pool)).map(lambda value: dear(tmp_path, 12, value), range(12), chunk_size=6)
    assert found == [*range(12)]


def test_workers_that_leak_are_replaced() -> None:
    with Client(workers=1, max_jobs=2, memory_limit="2GB") as client:
        pids = [one for _ in range(3) for one in Maps(client.workers).map(pid, range(2), chunk_size=1)]
        assert len(set(pids)) >= 3
        with pytest.raises(MemoryError):
            Maps(client.workers).map(bytearray, [4_000_000_000])


def test_what_workers_know_changes_between_maps_with_another_mapper(pool: SlavePool) -> None:
    def body(service: Scripted, handler: ServiceHandler) -> list[list[int]]:
        told = []
        for factor in (2, 3):
            with handler.mapper(lambda factor, value: factor * value, setup=lambda factor=factor: factor) as scaled:
                told.append(scaled([1, 2]))
        return told

    handler, _, _ = started(body, workers=pool)
    assert handler.wait(WAIT_S) == [[2, 4], [3, 6]]


def test_a_failed_value_is_run_again_here_with_its_log(pool: SlavePool, caplog: pytest.LogCaptureFixture) -> None:
    def body(service: Scripted, handler: ServiceHandler) -> list[int]:
        values = [0, 1, 2]
        found = handler.map(fail_on_odd, values, on_error="collect")
        failed = [value for value, one in zip(values, found, strict=True) if isinstance(one, ItemError)]
        for value in failed:
            handler.logger.info("once more: %s", value)
            with pytest.raises(ValueError, match="is odd"):
                fail_on_odd(value)
        return failed

    with caplog.at_level(logging.INFO):
        handler, _, _ = started(body, workers=pool)
        assert handler.wait(WAIT_S) == [1]
    assert "once more: 1" in caplog.text


def walk(seed: int, number: int) -> float:
    chance = random.Random(f"{seed}/{number}")
    return sum(chance.gauss(0, 1) for _ in range(100))


def test_seeded_random_numbers_are_the_same_with_any_number_of_workers(pool: SlavePool) -> None:
    seeded = [Maps(workers).map(lambda n: walk(7, n), range(8)) for workers in (Workers(), Workers(pool))]
    assert seeded[0] == seeded[1]
    assert len(set(seeded[0])) == 8


def with_workers_of_its_own(n: int) -> int:
    master = TrackingJobMaster(dict(enumerate(range(n))), function=double, hosts=["localhost"], verbose=0)
    return sum(master.calculateResult().values())


def test_a_worker_may_have_workers_of_its_own(own_pool: SlavePool) -> None:
    assert Maps(Workers(own_pool)).map(with_workers_of_its_own, [3, 4]) == [6, 12]


def test_several_jobs_work_on_the_same_slaves_at_once(pool: SlavePool) -> None:
    with Client(workers=pool):
        told: list[Any] = []
        jobs = [proxy(Sum, values=range(n)) for n in (2, 3, 4)]
        for job in jobs:
            job.after(lambda job: told.append(job.result))  # who asked is told, job by job
        for job in jobs:
            job.wait(WAIT_S)
    assert sorted(told) == [1, 3, 6]
    assert pool.submit(double, 2).result(WAIT_S) == 4  # the pool is left running
