"""Slaves on relays: the contract of all fabrics, and what happens to relays."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fabrics.contract import FabricContract
from tests.fabrics.relays import LauncherHere
from tracking.fabrics.relayed import RelayedFabric


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
