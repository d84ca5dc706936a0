"""A slave whose master reads nothing for a while: it waits in a write, and hears and ends all the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slave import jobs
from tests.slave.puppet import CALCULATION, Puppet, slave, wait_for_end, wait_readable
from tracking.wire import messages as m

N_PINGS = 200
RESULT_BYTES = 64_000_000


@pytest.fixture
def stuck() -> Iterator[Puppet]:
    """A slave in the middle of a write that nobody takes, which was asked many things since."""
    with slave() as puppet:
        assert puppet.set_up(jobs.obey)[0] == m.READY
        puppet.expect(m.HELLO)
        puppet.give(1, [("make_text", RESULT_BYTES)])
        wait_readable(puppet.lines.line)  # it has begun to write
        puppet.give(2, [("give", 2)])
        puppet.tell((m.RECALL, CALCULATION, 2), *((m.PING, CALCULATION, 2, token) for token in range(N_PINGS)))
        puppet.tell((m.BEAT, 0))
        yield puppet


def test_it_answers_all_when_its_line_is_read_again(stuck: Puppet) -> None:
    ((text,), _) = stuck.answer(1)
    assert len(text) == RESULT_BYTES
    assert stuck.expect(m.RETURNED) == (m.RETURNED, CALCULATION, 2)
    assert [stuck.expect(m.PONG)[2] for _ in range(N_PINGS)] == list(range(N_PINGS))
    assert stuck.do([("give", 3)], job=3)[0] == [3]
    assert {message[0] for message in stuck.came} <= {m.ALIVE}


@pytest.mark.parametrize("which", ["line", "control"])
def test_it_ends_at_once_when_a_line_is_cut(stuck: Puppet, pid: int, which: str) -> None:
    getattr(stuck.lines, which).close()
    wait_for_end(pid)


@pytest.fixture
def pid(stuck: Puppet) -> int:
    """The process of the stuck slave, as its starter's only child."""

    def children(parent: int) -> list[int]:
        tasks = Path(f"/proc/{parent}/task").iterdir()
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]

    (starter,) = children(os.getpid())
    (child,) = children(starter)
    return child
