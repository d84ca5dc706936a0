"""A slave with a memory limit: what needs too much fails alone, and who has kept too much is replaced."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest

from tests.slave import jobs
from tests.slave.puppet import Puppet, slave, wait_for_end
from tracking.slave.memory import Memory, in_words
from tracking.wire import messages as m

MB = 1_000_000
LIMIT = 400 * MB


class Held:
    """A process whose memory and time are moved by hand."""

    def __init__(self) -> None:
        self.bytes = 100
        self.now_s = 0.0

    def step(self, held: int) -> None:
        self.bytes = held
        self.now_s += 1.0


@pytest.fixture
def held() -> Held:
    return Held()


@pytest.fixture
def memory(held: Held) -> Memory:
    memory = Memory(lambda: held.bytes, lambda: held.now_s)
    memory.limit_to(1000)
    return memory


def test_a_process_is_full_above_three_quarters_of_its_limit_and_says_so_once(held: Held, memory: Memory) -> None:
    held.step(750)
    assert memory.full_bytes() == 0
    held.step(751)
    assert memory.full_bytes() == 751
    held.step(999)
    assert memory.full_bytes() == 0


def test_memory_is_not_looked_at_all_the_time(held: Held, memory: Memory) -> None:
    assert memory.full_bytes() == 0
    held.bytes = 999
    assert memory.full_bytes() == 0
    held.step(999)
    assert memory.full_bytes() == 999


def test_a_slave_whose_work_needs_much_from_the_first_may_keep_half_of_the_rest(held: Held, memory: Memory) -> None:
    held.step(800)
    memory.is_set_up()
    assert memory.full_bytes() == 0
    held.step(901)
    assert memory.full_bytes() == 901


def test_the_first_item_is_not_the_victim_of_others(held: Held, memory: Memory) -> None:
    held.step(900)
    assert not memory.was_spent_before(is_first=True)
    assert memory.was_spent_before(is_first=False)
    memory.full_bytes()  # a job is done
    assert memory.was_spent_before(is_first=True)
    held.step(300)
    assert not memory.was_spent_before(is_first=False)


def test_without_a_limit_nothing_is_full() -> None:
    memory = Memory(lambda: 1 << 60)
    memory.is_set_up()
    assert memory.full_bytes() == 0
    assert not memory.was_spent_before(is_first=False)


def test_bytes_in_words() -> None:
    assert [in_words(n) for n in (999, 1_500_000, 2_345_000_000)] == ["999 bytes", "2 MB", "2.3 GB"]


# ---- real slaves

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the system does not hold processes to a limit")


@pytest.fixture
def worker() -> Iterator[Puppet]:
    with slave(memory_limit=LIMIT) as puppet:
        assert puppet.set_up(jobs.obey)[0] == m.READY
        yield puppet


def test_an_item_that_needs_more_fails_alone_and_the_limit_is_named(worker: Puppet) -> None:
    results, failures = worker.do([("give", 1), ("hold", LIMIT), ("hold", LIMIT // 2)])
    assert results == [1, None, LIMIT // 2]
    what, text, traceback, _ = failures[1]
    assert what == m.REPORT_RAISED
    assert text == "MemoryError: needs more than the memory limit of 400 MB"
    assert "in do_hold" in traceback


def test_an_item_alone_that_needs_more_costs_only_itself(worker: Puppet) -> None:
    for job in (1, 2, 3):
        _, failures = worker.do([("hold", 10 * LIMIT)], job)
        assert "memory limit of 400 MB" in failures[0][1]
    assert worker.do([("give", 1)], job=4)[0] == [1]
    assert [message[0] for message in worker.came] == [m.HELLO]


def test_a_slave_that_has_kept_too_much_says_so_once_and_works_on(worker: Puppet) -> None:
    worker.do([("keep", LIMIT * 8 // 10)])
    full = worker.expect(m.FULL)
    assert full[:2] == (m.FULL, 0)
    assert LIMIT * 8 // 10 < full[2] <= LIMIT
    assert worker.do([("give", 1)], job=2)[0] == [1]
    worker.send((m.STOP, 0))
    worker.expect(m.ENDING)
    assert [message[0] for message in worker.came] == [m.HELLO]


def test_an_item_does_not_suffer_for_what_others_have_left_in_its_job(worker: Puppet) -> None:
    pid = worker.expect(m.HELLO)[3]
    worker.give(1, [("keep", LIMIT * 6 // 10), ("give", 2), ("hold", LIMIT * 6 // 10), ("give", 4)])
    part = worker.expect(m.PART)
    assert part[4] == 0
    quits = worker.expect(m.QUITS)
    assert quits[1] == 0
    assert re.fullmatch("replaced: earlier items had left .* MB behind, of its memory limit of 400 MB", quits[2])
    wait_for_end(pid)


def test_an_item_alone_does_not_suffer_for_what_others_have_left(worker: Puppet) -> None:
    pid = worker.expect(m.HELLO)[3]
    worker.do([("keep", LIMIT * 6 // 10)])
    worker.give(2, [("hold", LIMIT * 6 // 10)])
    worker.expect(m.QUITS)
    wait_for_end(pid)


def test_a_result_that_is_too_large_to_be_sent_fails_alone(worker: Puppet) -> None:
    results, failures = worker.do([("give", 1), ("make_text", LIMIT * 6 // 10), ("give", 3)])
    assert results == [1, None, 3]
    assert "memory" in failures[1][1].lower()


@pytest.mark.parametrize("limit", [1, 10 * MB])
def test_a_limit_below_what_a_slave_needs_is_said_at_its_end(limit: int) -> None:
    with slave(memory_limit=limit) as puppet:
        puppet.read_output(lambda text: "too low: a slave with nothing to do needs" in text)
