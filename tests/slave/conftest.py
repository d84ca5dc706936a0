"""A slave with its master's end of the lines in the test's hands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slave import jobs
from tests.slave.puppet import Gate, Puppet, slave
from tracking.wire import messages as m


@pytest.fixture
def puppet() -> Iterator[Puppet]:
    with slave() as puppet:
        yield puppet


@pytest.fixture
def worker(puppet: Puppet) -> Puppet:
    """A slave with a function that does what its items say."""
    assert puppet.set_up(jobs.obey)[0] == m.READY
    return puppet


@pytest.fixture
def picky(puppet: Puppet) -> Puppet:
    """A slave with a JobSlave that returns what its items say."""
    assert puppet.set_up(jobs.Picky, params={"depth": 3})[0] == m.READY
    return puppet


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.close()
