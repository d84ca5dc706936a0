"""Maps over slaves: order, errors, aborts, what travels, and what slaves keep."""

from __future__ import annotations

import os
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from tests.service.helpers import Heard, started
from tests.service.services import (
    WAIT_S,
    Scripted,
    Sum,
    die_once,
    double,
    fail_on_odd,
    pid,
    wait_at,
)  # fmt: skip
from tracking import InputError, Interrupted, ItemError, ItemRaised, ItemTimeout, SlavePool
from tracking.service import Abort, Client, MapCancelled, Service, ServiceHandler, Status
from tracking.service.maps import Maps, chunk_size, done_of
from tracking.service.workers import Workers


@pytest.fixture(params=["slaves", "here"])
def maps(request: pytest.FixtureRequest, pool: SlavePool) -> Maps:
    return Maps(Workers(pool if request.param == "slaves" else None))


def gates(directory: Path, n: int) -> list[str]:
    paths = [str(directory / f"gate{i}") for i in range(n)]
    for path in paths:
        os.mkfifo(path)
    return paths


# ---- map


def test_results_come_as_a_list_in_the_order_of_any_iterable(maps: Maps) -> None:
    assert maps.map(double, (n for n in range(20))) == [2 * n for n in range(20)]
    assert maps.map(double, []) == []
    assert maps.map(lambda value: value + 1, {3: "a"}) == [4]


def test_values_are_worked_on_by_slaves_and_without_them_here(pool: SlavePool) -> None:
    assert os.getpid() not in Maps(Workers(pool)).map(pid, range(4))
    assert set(Maps(Workers()).map(pid, range(4))) == {os.getpid()}
    assert (Workers(pool).poolsize, Workers().poolsize) == (2, 1)


def test_an_error_is_raised_as_it_is_with_the_remote_traceback(pool: SlavePool) -> None:
    with pytest.raises(ValueError, match="1 is odd") as caught:
        Maps(Workers(pool)).map(fail_on_odd, range(4))
    assert isinstance(caught.value.__cause__, ItemRaised)
    assert "in fail_on_odd" in caught.value.__cause__.remote_traceback
    assert "2 of 4 values of the map failed (places 1, 3)" in caught.value.__notes__[0]


def test_errors_may_be_collected_in_their_places_and_are_never_none(maps: Maps) -> None:
    found = maps.map(fail_on_odd, range(4), on_error="collect")
    assert (found[0], found[2]) == (0, 2)
    for place in (1, 3):
        assert isinstance(found[place], ItemRaised)
        assert f"{place} is odd" in str(found[place])
        assert "in fail_on_odd" in found[place].remote_traceback


def test_a_value_that_never_ends_is_given_up_with_item_timeout(own_pool: SlavePool, tmp_path: Path) -> None:
    (gate,) = gates(tmp_path, 1)
    options: dict[str, Any] = {"item_timeout": 1.5, "on_error": "collect", "chunk_size": 1}
    found = Maps(Workers(own_pool)).map(lambda path: wait_at(path) if path else "done", [None, gate, None], **options)
    assert (found[0], found[2]) == ("done", "done")
    assert isinstance(found[1], ItemTimeout)
    with pytest.raises(ItemError):
        Maps(Workers(own_pool)).map(wait_at, [gate], item_timeout=0.3)


def test_a_value_that_fails_is_tried_again_with_retries(maps: Maps, tmp_path: Path) -> None:
    def fail_once(path: str) -> str:
        if os.path.exists(path):
            return "done"
        Path(path).touch()
        raise OSError("busy")

    assert maps.map(fail_once, [str(tmp_path / "mark")], retries=1) == ["done"]


def test_a_slave_that_is_killed_costs_nothing(own_pool: SlavePool, tmp_path: Path) -> None:
    assert Maps(Workers(own_pool)).map(die_once, [str(tmp_path / "mark")] * 3) == ["done by another"] * 3


def test_an_option_that_there_is_not_is_refused_with_and_without_slaves(pool: SlavePool) -> None:
    with pytest.raises(TypeError, match="nonsense"):
        Maps(Workers(pool)).map(double, [1], nonsense=1)
    with pytest.raises(InputError, match=r"no option 'item_timeout' without slaves: give workers="):
        Maps(Workers()).map(double, [1], item_timeout=1)
    with pytest.raises(InputError, match="on_error"):
        Maps(Workers()).map(double, [1], on_error="ignore")
    with pytest.raises(InputError, match="fabric"):
        Workers(None, fabric="local")


# ---- abort and cancel


def test_an_abort_wakes_a_map_at_once_and_its_slaves_work_for_others(own_pool: SlavePool, tmp_path: Path) -> None:
    paths = gates(tmp_path, 2)
    handler, service, heard = started(
        lambda service, handler: handler.map(wait_at, paths, chunk_size=1), workers=own_pool
    )
    ends = [os.open(path, os.O_WRONLY) for path in paths]  # both slaves wait at their gates, which stay shut
    handler.put(Abort())
    with pytest.raises(Interrupted):
        handler.wait(WAIT_S)
    assert heard.kinds() == ["Started", "Aborted"]
    assert service.story[-1] == "cleanup"
    assert own_pool.submit(double, 4).result(WAIT_S) == 8
    for end in ends:
        os.close(end)


def test_an_abort_wakes_a_mapper_at_once_too(own_pool: SlavePool, tmp_path: Path) -> None:
    paths = gates(tmp_path, 2)
    handler, _, _ = started(lambda service, handler: handler.mapper(wait_at)(paths), workers=own_pool)
    ends = [os.open(path, os.O_WRONLY) for path in paths]
    handler.put(Abort())
    with pytest.raises(Interrupted):
        handler.wait(WAIT_S)
    assert own_pool.submit(double, 4).result(WAIT_S) == 8
    for end in ends:
        os.close(end)


@pytest.mark.parametrize("way", ["map", "mapper"])
def test_a_map_may_be_cancelled_and_the_job_goes_on(own_pool: SlavePool, tmp_path: Path, way: str) -> None:
    paths = gates(tmp_path, 2)

    def body(service: Scripted, handler: ServiceHandler) -> Any:
        mapper = handler.mapper(wait_or_double)
        work = mapper if way == "mapper" else lambda values: handler.map(wait_or_double, values, chunk_size=1)
        try:
            work(paths)
        except MapCancelled as error:
            return str(error), work([4])

    handler, _, _ = started(body, workers=own_pool)
    ends = [os.open(path, os.O_WRONLY) for path in paths]
    assert handler.cancel_map() == 1
    words, then = handler.wait(WAIT_S)
    assert "the map was cancelled; 0 of its values were done" in words
    assert then == [8]
    for end in ends:
        os.close(end)


def test_what_was_done_of_a_cancelled_mapper_is_told_also_behind_what_was_not() -> None:
    done, failed, waiting = Future[Any](), Future[Any](), Future[Any]()
    done.set_result((0.1, ["c", "d"]))
    failed.set_exception(Interrupted("ended"))
    assert done_of([waiting, done, failed], [[1, 2], [3, 4], [5], [6]]) == {2: "c", 3: "d"}


def wait_or_double(value: Any) -> Any:
    return wait_at(value) if isinstance(value, str) else double(value)


# ---- what travels


class Keeping(Service):
    """Keeps everything that it can lay its hands on."""

    version = "1"

    def prepare(self, request: Any) -> None:
        self.factor = 3

    def run(self, handler: ServiceHandler) -> Any:
        self.own_handler = handler
        self.heard = Heard()
        self.maps = [handler.mapper(double)]
        del self.heard
        return handler.map(self.task, [1, 2]), handler.mapper(self.task)([3, 4])

    def task(self, value: int) -> Any:
        try:
            self.own_handler.ready()
        except RuntimeError as error:
            return self.factor * value, bool(self.queue), str(error)


def test_a_method_of_the_service_travels_without_handler_and_queue(pool: SlavePool) -> None:
    handler = ServiceHandler(workers=pool)
    handler.start(Keeping, Keeping.request())
    first, second = handler.wait(WAIT_S)
    assert [value for value, _, _ in (*first, *second)] == [3, 6, 9, 12]
    assert {is_there for _, is_there, _ in first} == {False}
    assert "'ready' of the ServiceHandler was asked for where there is none" in first[0][2]


# ---- mapper


def test_a_mapper_sends_its_function_once_per_slave(pool: SlavePool, tmp_path: Path) -> None:
    class Counted:
        """A function that notes where it is unpickled."""

        def __call__(self, value: int) -> tuple[int, int]:
            return value, os.getpid()

        def __setstate__(self, state: dict[str, Any]) -> None:
            self.__dict__ = state
            with open(self.path, "a") as file:
                file.write(f"{os.getpid()}\n")

        def __init__(self, path: str) -> None:
            self.path = path

    maps = Maps(Workers(pool))
    handler = ServiceHandler(workers=pool)
    with handler.mapper(Counted(str(tmp_path / "loads"))) as mapper:
        pids = {pid for _ in range(30) for _, pid in mapper(range(8))}
    loads = (tmp_path / "loads").read_text().split()
    assert sorted(loads) == sorted({*loads})
    assert pids <= {int(pid) for pid in loads}
    assert maps.map(double, [1]) == [2]


def test_a_setup_is_made_once_per_slave_and_kept_between_calls(maps: Maps, tmp_path: Path) -> None:
    mark = tmp_path / "setups"

    def setup() -> dict[str, int]:
        with mark.open("a") as file:
            file.write(f"{os.getpid()}\n")
        return {"pid": os.getpid(), "calls": 0}

    def count(state: dict[str, int], value: int) -> tuple[int, int, int]:
        state["calls"] += 1
        return value, state["pid"], state["calls"]

    from tracking.service.maps import Mapper

    with Mapper(maps, count, setup) as mapper:
        told = [one for _ in range(5) for one in mapper(range(6))]
    assert [value for value, _, _ in told] == [*range(6)] * 5
    pids = mark.read_text().split()
    assert len(pids) == len(set(pids)) <= 2
    assert max(calls for _, _, calls in told) >= 15  # they were counted on, call after call


def test_a_mapper_raises_with_the_remote_traceback_and_can_be_used_again(pool: SlavePool) -> None:
    handler = ServiceHandler(workers=pool)
    with handler.mapper(fail_on_odd) as mapper:
        with pytest.raises(ValueError, match="1 is odd") as caught:
            mapper([0, 1, 2])
        assert "in fail_on_odd" in caught.value.__cause__.remote_traceback  # type: ignore[union-attr]
        assert mapper([0, 2]) == [0, 2]
        assert mapper([]) == []


def test_values_of_a_mapper_travel_in_jobs_that_are_worth_it_and_leave_work_for_all() -> None:
    assert chunk_size(10_000, 2, 1e-6) == 2500
    assert chunk_size(10_000, 2, 0.001) == 10
    assert chunk_size(40, 2, 0.5) == 1
    assert chunk_size(0, 2, None) == 1


# ---- slaves


def test_slaves_of_its_own_are_started_when_needed_and_ended_with_the_job() -> None:
    handler = ServiceHandler(workers=2)
    handler.start(Sum, Sum.request(values=[1, 2, 3]))
    assert handler.wait(WAIT_S) == 6
    assert handler.status is Status.COMPLETE


def test_slaves_may_be_added_while_it_runs(tmp_path: Path) -> None:
    def body(service: Scripted, handler: ServiceHandler) -> tuple[int, int]:
        before = handler.poolsize
        handler.add_hosts(["localhost"])
        return before, handler.poolsize

    handler, _, _ = started(body, workers=1)
    assert handler.wait(WAIT_S) == (1, 2)
    with pytest.raises(InputError, match="give workers="):
        ServiceHandler().add_hosts(["localhost"])


@pytest.mark.slow  # options of the pool are held by test_usecases, the fabric by its own tests
@pytest.mark.timeout(60)
def test_slaves_may_be_of_any_fabric() -> None:
    with Client(workers=2, fabric="dialled") as client:
        job = client.submit(Sum.request(values=range(10)))
        assert job.wait(WAIT_S) == 45
