"""Slaves on relays: the contract of all fabrics, and what happens to relays."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.fabrics.contract import FabricContract, Slaves
from tests.fabrics.relays import LauncherHere
from tests.slave.puppet import wait_for_news
from tracking.fabrics.relayed import RelayedFabric
from tracking.wire import messages as m


class TestOneRelayAHost(FabricContract):
    @pytest.fixture
    def fabric(self) -> Iterator[RelayedFabric]:
        fabric = RelayedFabric(LauncherHere(is_by_host=True))
        yield fabric
        fabric.close()


class TestOneRelayASlave(FabricContract):
    @pytest.fixture
    def fabric(self) -> Iterator[RelayedFabric]:
        fabric = RelayedFabric(LauncherHere())
        yield fabric
        fabric.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_slave_that_is_ended_together_with_its_relay_as_queues_do_is_innocent(number: signal.Signals) -> None:
    launcher = LauncherHere()
    fabric = RelayedFabric(launcher)
    slaves = Slaves(fabric)
    slave = slaves.start(2).expect(m.HELLO)[3]
    (relay,) = launcher.processes.values()
    os.kill(slave, number)
    relay.send_signal(number)
    (ended,) = wait_for_news(fabric)
    assert ended.tid == 2
    assert ended.is_innocent
    slaves.close()
    fabric.close()
