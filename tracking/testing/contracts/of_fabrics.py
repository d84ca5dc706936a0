"""What every fabric must do with its slaves: derive a class named ``Test...`` that has a ``fabric`` fixture."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tracking.fabrics.base import Fabric, SlaveEnded
from tracking.testing.contracts import chores
from tracking.testing.contracts.puppet import Puppet, all_started, spec_of, wait_for_end, wait_for_news
from tracking.wire import messages as m


class FabricContract:
    """Started slaves speak; ended ones are told of, whatever ended them; nothing is left.

    Override ``fabric``; and ``pid_here`` where slaves have process numbers of their own, as in containers.
    """

    @pytest.fixture
    def fabric(self) -> Iterator[Fabric]:
        raise NotImplementedError("a fabric to be tested, closed at the end")

    def pid_here(self, pid: int) -> int:
        """The number by which the tests know a process that a slave knows by this number; it is alive."""
        return pid

    @pytest.fixture
    def slaves(self, fabric: Fabric) -> Iterator[Slaves]:
        slaves = Slaves(fabric)
        yield slaves
        slaves.close()

    def test_it_is_a_fabric_with_a_name(self, fabric: Fabric) -> None:
        assert isinstance(fabric, Fabric)
        assert fabric.name.isidentifier()

    def test_without_slaves_there_is_no_news(self, fabric: Fabric) -> None:
        assert fabric.poll() == []

    def test_a_slave_comes_up_and_works(self, slaves: Slaves) -> None:
        puppet = slaves.start(2)
        assert puppet.expect(m.HELLO)[2] == m.PROTOCOL_VERSION
        assert puppet.set_up(chores.square)[0] == m.READY
        assert puppet.do([3]) == ([9], {})

    def test_what_is_sent_before_a_slave_is_up_waits_for_it(self, slaves: Slaves) -> None:
        puppet = slaves.start(2)
        puppet.tell((m.PING, 0, 2, 99))
        puppet.send((m.STOP, 0))
        assert puppet.expect(m.ENDING) == (m.ENDING, 0)

    def test_no_line_ever_blocks(self, slaves: Slaves) -> None:
        lines = slaves.start(2).lines
        assert not os.get_blocking(lines.line.fileno())
        assert not os.get_blocking(lines.control.fileno())
        assert lines.output is None or not os.get_blocking(lines.output)

    def test_what_a_slave_prints_comes_through_its_output(self, slaves: Slaves) -> None:
        puppet = slaves.start(2)
        puppet.set_up(chores.obey)
        puppet.do([("print", "seen")])
        puppet.read_output(lambda text: text == "seen\n")

    def test_a_slave_that_was_told_to_stop_has_ended_well(self, fabric: Fabric, slaves: Slaves) -> None:
        slaves.start(2).send((m.STOP, 0))
        assert wait_for_news(fabric) == [SlaveEnded(2, "ended with exit status 0")]
        assert fabric.poll() == []

    def test_the_exit_status_of_a_slave_is_told(self, fabric: Fabric, slaves: Slaves) -> None:
        puppet = slaves.start(2)
        puppet.set_up(chores.obey)
        puppet.give(1, [("leave", 3)])
        assert wait_for_news(fabric) == [SlaveEnded(2, "ended with exit status 3")]

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
    def test_the_signal_that_ended_a_slave_is_told(
        self, fabric: Fabric, slaves: Slaves, number: signal.Signals
    ) -> None:
        puppet = slaves.start(2)
        puppet.set_up(chores.obey)
        puppet.give(1, [("die", int(number))])
        assert wait_for_news(fabric) == [SlaveEnded(2, f"killed by {number.name}")]

    def test_a_slave_that_is_stopped_ends_with_all_that_it_has_started(self, fabric: Fabric, slaves: Slaves) -> None:
        puppet = slaves.start(2)
        puppet.set_up(chores.obey)
        child = self.pid_here(puppet.do(["start_child"])[0][0])
        fabric.stop(2)
        assert wait_for_news(fabric) == [SlaveEnded(2, "killed by SIGKILL")]
        wait_for_end(child)

    def test_what_a_slave_has_started_does_not_outlive_it(self, fabric: Fabric, slaves: Slaves) -> None:
        puppet = slaves.start(2)
        puppet.set_up(chores.obey)
        child = self.pid_here(puppet.do(["start_child"])[0][0])
        puppet.give(2, [("die", int(signal.SIGKILL))])
        wait_for_news(fabric)
        wait_for_end(child)

    def test_stopping_one_that_is_not_there_or_is_stopped_already_does_nothing(
        self, fabric: Fabric, slaves: Slaves
    ) -> None:
        slaves.start_all(2, 3)
        fabric.stop(99)
        fabric.stop(2)
        fabric.stop(2)
        assert wait_for_news(fabric) == [SlaveEnded(2, "killed by SIGKILL")]
        fabric.stop(2)
        slaves.start(4).send((m.STOP, 0))
        assert wait_for_news(fabric) == [SlaveEnded(4, "ended with exit status 0")]

    def test_slaves_end_alone(self, fabric: Fabric, slaves: Slaves) -> None:
        puppets = dict(zip(range(2, 8), slaves.start_all(*range(2, 8)), strict=True))
        for tid in (3, 5):
            fabric.stop(tid)
        assert {ended.tid for ended in wait_for_news(fabric, 2)} == {3, 5}
        for tid in (2, 4, 6, 7):
            puppets[tid].set_up(chores.square)
            assert puppets[tid].do([tid])[0] == [tid * tid]

    def test_closing_ends_idle_busy_and_unborn_slaves(self, fabric: Fabric, slaves: Slaves) -> None:
        idle, busy, _ = slaves.start_all(2, 3, 4)
        busy.set_up(chores.obey)
        busy.give(1, [("die", int(signal.SIGCONT))])  # lives, and waits for a signal
        pids = [self.pid_here(puppet.expect(m.HELLO)[3]) for puppet in (idle, busy)]
        slaves.ask_for(5)
        fabric.close()
        for pid in pids:
            wait_for_end(pid, 0)
        fabric.close()

    def test_a_closed_fabric_has_no_news_to_watch_for(self, fabric: Fabric, slaves: Slaves) -> None:
        slaves.start(2)
        fabric.close()
        assert list(fabric.descriptors()) == []
        assert fabric.poll() == []

    def test_it_is_quiet_when_all_is_told(self, fabric: Fabric, slaves: Slaves) -> None:
        slaves.start(2).send((m.STOP, 0))
        wait_for_news(fabric)
        for _ in range(10):  # a relay may just say that it lives
            if not select.select(list(fabric.descriptors()), [], [], 0)[0]:
                return
            assert fabric.poll() == []
        pytest.fail("it asks to be polled again and again")


class Slaves:
    """Starts slaves whose master is the test."""

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self._puppets = ExitStack()

    def start(self, tid: int, *, niceness: int = 0) -> Puppet:
        """Start one, and wait until it is connected."""
        return self._puppet(Puppet(self._fabric, tid, niceness=niceness))

    def start_all(self, *tids: int) -> list[Puppet]:
        """Start them together, as a pool does, and wait until all are connected."""
        specs = [spec_of(tid) for tid in tids]
        lines = all_started(self._fabric, specs)
        return [self._puppet(Puppet(self._fabric, tid, lines=lines[tid])) for tid in tids]

    def ask_for(self, tid: int) -> None:
        """Have one started, and wait for nothing."""
        lines = self._fabric.start(spec_of(tid))
        if lines is not None:
            self._puppet(Puppet(self._fabric, tid, lines=lines))

    def _puppet(self, puppet: Puppet) -> Puppet:
        self._puppets.callback(puppet.close)
        return puppet

    def close(self) -> None:
        self._puppets.close()
