"""Slaves whose lines come later: they dial, and until then there is nothing to speak into."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.pool.helpers import Stage, stage
from tracking.fabrics.base import News, SlaveConnected, SlaveEnded, SlaveLines, SlaveSpec
from tracking.testing import ScriptedFabric
from tracking.wire import messages as m


class DialledLater(ScriptedFabric):
    """Its slaves have lines when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.to_tell: list[News] = []
        self.tids: list[int] = []
        self.polls = 0
        self.within_s: float | None = None
        self.stopped: list[int] = []

    def start(self, spec: SlaveSpec) -> SlaveLines | None:  # type: ignore[override]
        self.tids.append(spec.tid)
        return None

    def stop(self, tid: int) -> None:
        self.stopped.append(tid)
        super().stop(tid)

    def dial(self, tid: int) -> None:
        """A slave has dialled."""
        self.to_tell.append(SlaveConnected(tid, super().start(SlaveSpec(tid, "late", "here"))))

    def poll(self) -> list[News]:  # type: ignore[override]
        self.polls += 1
        super().poll()
        told, self.to_tell = self.to_tell, []
        return told

    def poll_within_s(self) -> float | None:
        return self.within_s


@pytest.fixture
def fabric() -> DialledLater:
    fabric = DialledLater()
    fabric.within_s = 1.0
    return fabric


@pytest.fixture
def it(fabric: DialledLater) -> Iterator[Stage]:
    with stage(fabric) as it:
        yield it


def test_a_slave_is_up_when_it_has_dialled_and_said_hello(it: Stage, fabric: DialledLater) -> None:
    client = it.client()
    (tid,) = fabric.tids
    assert client.up == []
    fabric.dial(tid)
    it.pass_time(1.0)
    assert [slave.tid for slave in client.up] == [tid]
    assert it.crew.send(tid, (m.SETUP, 7, m.FUNCTION, None, None, None))


def test_until_then_nothing_can_be_said_to_it(it: Stage, fabric: DialledLater) -> None:
    (tid,) = fabric.tids
    assert not it.crew.send(tid, (m.FORGET, 7))
    assert not it.crew.tell(tid, (m.PING, 7, tid, 1))
    assert it.crew.unwritten_bytes(tid) == 0


def test_a_fabric_is_polled_in_time_though_nothing_can_be_read(it: Stage, fabric: DialledLater) -> None:
    polls = fabric.polls
    it.pass_time(0.9)
    assert fabric.polls == polls
    it.pass_time(0.1)
    assert fabric.polls == polls + 1
    it.pass_time(1.0)
    assert fabric.polls == polls + 2


def test_the_last_words_of_one_that_ends_before_it_dials_say_why(
    it: Stage, fabric: DialledLater, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    client = it.client()
    for _ in range(30):
        fabric.to_tell += [SlaveEnded(tid, "ended with exit status 1", b"no module numpy\n") for tid in fabric.tids]
        fabric.tids.clear()
        it.pass_time(30.0)
    assert "no module numpy" in client.end


def test_one_that_never_dials_is_stopped_and_tried_again(it: Stage, fabric: DialledLater) -> None:
    it.client()
    for _ in range(70):
        it.pass_time(1.0)
    assert fabric.stopped == fabric.tids[:1]
    assert len(fabric.tids) == 2


def test_one_that_dials_in_the_moment_in_which_it_is_given_up_gets_no_word(it: Stage, fabric: DialledLater) -> None:
    it.client()
    (tid,) = fabric.tids
    while not fabric.stopped:
        it.pass_time(0.5)
    fabric.dial(tid)
    it.pass_time(1.0)
    assert not fabric.slaves[0].is_alive


def test_one_that_dials_after_it_was_given_up_gets_no_word(it: Stage, fabric: DialledLater) -> None:
    (tid,) = fabric.tids
    fabric.to_tell.append(SlaveEnded(tid, "lost"))
    it.pass_time(1.0)
    fabric.dial(tid)
    it.pass_time(1.0)
    assert not fabric.slaves[0].is_alive


def test_one_that_has_dialled_and_ended_at_once_is_heard_first(it: Stage, fabric: DialledLater) -> None:
    client = it.client()
    (tid,) = fabric.tids
    fabric.dial(tid)
    fabric.to_tell.append(SlaveEnded(tid, "killed by SIGKILL"))
    it.pass_time(1.0)
    assert [slave.tid for slave in client.up] == [tid]
    assert client.lost[0][1] == "killed by SIGKILL"


def test_closing_ends_slaves_that_never_dialled(fabric: DialledLater) -> None:
    with stage(fabric) as it:
        it.crew.close(within_s=0.1)
