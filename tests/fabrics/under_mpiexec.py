"""The suites of all fabrics for one that is there only in rank 0 of an MPI job: ``test_mpi`` starts it there."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator

import pytest

from tests.fabrics.test_mpi import parent_of
from tests.slave.puppet import wait_for_end, wait_for_news
from tracking.fabrics.ranks import RanksFabric
from tracking.testing.contracts import CalculationContract, FabricContract, Make, Slaves
from tracking.wire import messages as m


class TestRanksFabric(FabricContract):
    @pytest.fixture
    def fabric(self) -> Iterator[RanksFabric]:
        fabric = RanksFabric()
        yield fabric
        fabric.close()

    def test_a_relay_that_is_killed_is_named_by_its_rank_and_the_next_one_works(
        self, fabric: RanksFabric, slaves: Slaves
    ) -> None:
        pid = slaves.start(2).expect(m.HELLO)[3]
        os.kill(parent_of(pid), signal.SIGKILL)
        (ended,) = wait_for_news(fabric)
        assert ended.is_innocent
        assert re.fullmatch(r"relay of MPI rank \d on \S+: killed by SIGKILL", ended.how)
        wait_for_end(pid)
        slaves.start(3).expect(m.HELLO)


class TestRanks(CalculationContract):
    @pytest.fixture
    def make(self) -> Make:
        return RanksFabric
