"""Tiny items one a job: their jobs travel in rows, and each is still a job of its own."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.master.helpers import master_of, squares
from tests.master.work import Squares, fail_on_odd, unreadable_on_two, unsendable_on_two
from tracking import CalculationError, ItemKilledSlave, ItemResultError, LazyMapping, SlavePool, TrackingJobMaster
from tracking.master import calculation
from tracking.master.intake import Intake
from tracking.master.leaving import end_jobs
from tracking.master.rows import RowSender
from tracking.master.sending import Sender
from tracking.wire import messages as m

N = 300


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of the rows that were sent."""
    found: list[int] = []
    send = RowSender.send

    def spy(self: RowSender, commands: Any) -> bool:
        is_sent = send(self, commands)
        if is_sent:
            found.append(len(commands))
        return is_sent

    monkeypatch.setattr(RowSender, "send", spy)
    return found


def test_most_tiny_items_travel_in_rows_and_each_is_a_job(pool: SlavePool, rows: list[int]) -> None:
    master = master_of(N, pool=pool, chunk_size=1)
    assert master.calculateResult() == squares(N)
    assert sum(rows) > N / 2
    assert sum(line["done"] for line in master.progress.values()) >= N


def test_values_of_a_go_travel_in_rows_too(pool: SlavePool, rows: list[int]) -> None:
    assert master_of(N, pool=pool, chunk_size=1, slave_script=Squares).calculateResult() == squares(N)
    assert rows


def test_job_done_sees_each_job_by_itself(pool: SlavePool, rows: list[int]) -> None:
    class Watching(TrackingJobMaster):
        seen: list[dict[Any, Any]] = []  # noqa: RUF012

        def job_done(self, slave_tid: int, result: dict[Any, Any]) -> None:
            self.seen.append(dict(result))
            result.update({id: -value for id, value in result.items()})

    master = master_of(N, pool=pool, chunk_size=1, cls=Watching)
    assert master.calculateResult() == {i: -square for i, square in squares(N).items()}
    assert all(len(result) == 1 for result in master.seen)
    assert rows


def test_a_job_done_that_raises_leaves_no_job_that_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, pool: SlavePool, rows: list[int]
) -> None:
    class Raising(TrackingJobMaster):
        n_seen = 0

        def job_done(self, slave_tid: int, result: dict[Any, Any]) -> None:
            self.n_seen += 1
            if self.n_seen == 400:
                raise LookupError("what the hook says")

    left: list[int] = []

    def spy(crew: Any, desk: Any, answers: Any) -> None:
        end_jobs(crew, desk, answers)
        left.extend(answers.jobs)

    monkeypatch.setattr(calculation, "end_jobs", spy)
    with pytest.raises(LookupError, match="what the hook says"):
        master_of(3000, pool=pool, chunk_size=1, cls=Raising).calculateResult()
    assert rows
    assert left == []


@pytest.mark.parametrize("hook", ["start_job", "get_slave_chunk"])
def test_who_wants_to_see_each_job_before_it_is_sent_does(pool: SlavePool, rows: list[int], hook: str) -> None:
    master = master_of(50, pool=pool, chunk_size=1)
    before, calls = getattr(master, hook), []

    def spy(argument: Any) -> Any:
        calls.append(argument)
        return before(argument)

    setattr(master, hook, spy)
    assert master.calculateResult() == squares(50)
    assert len(calls) >= 50
    assert not rows


def test_a_slave_that_is_refused_after_a_job_gets_no_more(pool: SlavePool) -> None:
    class Choosy(TrackingJobMaster):
        def is_valid_slave(self, slave_tid: int) -> bool:
            return slave_tid != min(self.slaves)

    assert master_of(N, pool=pool, chunk_size=1, cls=Choosy).calculateResult() == squares(N)


def test_items_of_a_row_that_raise_fail_alone(pool: SlavePool) -> None:
    with pytest.raises(CalculationError) as caught:
        master_of(N, fail_on_odd, pool=pool, chunk_size=1).calculateResult()
    assert caught.value.result == {i: i for i in range(0, N, 2)}
    assert set(caught.value.errors) == set(range(1, N, 2))


@pytest.mark.parametrize("function", [unreadable_on_two, unsendable_on_two])
def test_a_result_of_a_row_that_cannot_travel_fails_alone(pool: SlavePool, function: Any) -> None:
    data = dict(enumerate([0] * 100 + [2] + [0] * 100))
    with pytest.raises(CalculationError) as caught:
        master_of(data, function, pool=pool, chunk_size=1).calculateResult()
    assert list(caught.value.errors) == [100]
    assert isinstance(caught.value.errors[100], ItemResultError)
    assert len(caught.value.result) == 200


def test_a_value_in_a_row_that_cannot_be_sent_fails_alone(pool: SlavePool) -> None:
    data: dict[int, Any] = squares(200)
    data[150] = (i for i in range(3))
    with pytest.raises(CalculationError) as caught:
        master_of(data, abs, pool=pool, chunk_size=1).calculateResult()
    assert list(caught.value.errors) == [150]
    assert len(caught.value.result) == 199


def die_on(value: tuple[int, str]) -> int:
    number, log = value
    with open(log, "ab") as file:
        file.write(b"%d\n" % number)
    if number == 150:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_slave_that_dies_in_a_row_costs_its_item_only(tmp_path: Path) -> None:
    log = tmp_path / "log"
    data = {i: (i, str(log)) for i in range(N)}
    with pytest.raises(CalculationError) as caught:
        master_of(data, die_on, hosts=2, chunk_size=1, redistribute=0).calculateResult()  # else there are spare copies
    assert list(caught.value.errors) == [150]
    assert isinstance(caught.value.errors[150], ItemKilledSlave)
    assert caught.value.result == {i: i for i in range(N) if i != 150}
    begun = Counter(map(int, log.read_text().split()))
    again = sum(begun.values()) - N
    assert again <= 64 * begun[150], "each time only what had not come back from a row when its slave died"


def test_what_came_in_rows_is_in_the_run_file(pool: SlavePool, tmp_path: Path, rows: list[int]) -> None:
    path = tmp_path / "it.run"
    master_of(N, pool=pool, chunk_size=1, run_file=path).calculateResult()
    assert rows
    rows.clear()
    assert master_of(N, pool=pool, chunk_size=1, run_file=path).calculateResult() == squares(N)
    assert not rows, "nothing was left to do"


class Place:
    """Known by its name in a module of the test only."""

    def __init__(self, x: int) -> None:
        self.x = x


def x_of(place: Place) -> int:
    return place.x


def test_values_of_classes_travel_in_rows(pool: SlavePool, rows: list[int]) -> None:
    assert master_of({i: Place(i) for i in range(N)}, x_of, pool=pool, chunk_size=1).calculateResult() == {
        i: i for i in range(N)
    }
    assert rows


def test_values_that_share_an_object_do_not_share_it_on_the_slave(pool: SlavePool, rows: list[int]) -> None:
    shared: list[int] = []
    data = {i: shared for i in range(N)}  # noqa: C420  (one object for all)
    assert set(master_of(data, grow, pool=pool, chunk_size=1).calculateResult().values()) == {1}
    assert rows


def grow(value: list[int]) -> int:
    value.append(1)
    return len(value)


def test_large_values_do_not_travel_in_rows(pool: SlavePool, rows: list[int]) -> None:
    master = master_of({i: bytes(20_000) for i in range(100)}, len, pool=pool, chunk_size=1)
    assert set(master.calculateResult().values()) == {20_000}
    assert sum(rows) < 100


def test_a_row_is_one_message(monkeypatch: pytest.MonkeyPatch, pool: SlavePool) -> None:
    from tracking.pool.crew import Crew

    kinds: Counter[int] = Counter()
    send = Crew.send

    def spy(self: Crew, tid: int, message: Any) -> bool:
        kinds[message[0]] += 1
        return send(self, tid, message)

    monkeypatch.setattr(Crew, "send", spy)
    master_of(2000, pool=pool, chunk_size=1).calculateResult()
    assert kinds[m.ROW] > 0
    assert kinds[m.ROW] + kinds[m.JOB] < 1000


def test_values_that_turn_out_to_be_large_are_not_all_sent_at_once(
    monkeypatch: pytest.MonkeyPatch, pool: SlavePool
) -> None:
    """That jobs are small was measured with those before them; what is on the way stays bounded all the same."""
    most, ahead = 0, 0
    send_job, keep = Sender.send_job, Intake._keep

    def count_sent(self: Sender, tid: int, job: int, ids: Any, items: Any) -> None:
        nonlocal ahead, most
        ahead += len(items) * (ids[0] >= 200)
        most = max(most, ahead)
        send_job(self, tid, job, ids, items)

    def count_back(self: Intake, ids: Any, results: Any, *, are_recorded: bool) -> None:
        nonlocal ahead
        ahead -= sum(id >= 200 for id in ids)
        keep(self, ids, results, are_recorded=are_recorded)

    monkeypatch.setattr(Sender, "send_job", count_sent)
    monkeypatch.setattr(Intake, "_keep", count_back)
    asked: list[int] = []

    def value(id: int) -> bytes:
        asked.append(id)
        return bytes(3_000_000 if id >= 200 else 1)

    data = LazyMapping(range(260), value)
    result = master_of(data, len, pool=pool, chunk_size=1, redistribute=0).calculateResult()
    assert [result[id] for id in (199, 200, 259)] == [1, 3_000_000, 3_000_000]
    assert most <= 8
    assert len([id for id in asked if id >= 200]) <= 70
