"""Processes that an item forks: a copy of the slave may finish the item it was made in, and ends there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.slave import jobs
from tests.slave.puppet import Puppet
from tracking.wire import messages as m

HOW = pytest.mark.parametrize(("how", "status"), [("return", 0), ("raise", 1), ("exit", 7)])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "who was here"


@HOW
def test_a_copy_does_no_other_item_of_the_job(worker: Puppet, path: Path, how: str, status: int) -> None:
    pid = worker.expect(m.HELLO)[3]
    (wait_status, _, _), failures = worker.do([("fork", str(path), how), ("write", str(path)), ("write", str(path))])
    assert failures == {}
    assert os.waitstatus_to_exitcode(wait_status) == status
    assert path.read_text().split() == ["copy", str(pid), str(pid)]


@HOW
@pytest.mark.parametrize("item_timeout_s", [None, 60.0])
def test_a_copy_made_by_an_item_alone_ends_with_it(
    puppet: Puppet, path: Path, how: str, status: int, item_timeout_s: float | None
) -> None:
    puppet.set_up(jobs.obey, item_timeout_s=item_timeout_s)
    (wait_status,), _ = puppet.do([("fork", str(path), how)])
    assert os.waitstatus_to_exitcode(wait_status) == status
    assert path.read_text().split() == ["copy"]
    assert puppet.do([("give", 1)], job=2)[0] == [1]
    assert [message[0] for message in puppet.came] == [m.HELLO]


@HOW
def test_a_copy_made_by_go_ends_with_it(picky: Puppet, path: Path, how: str, status: int) -> None:
    (wait_status,), _ = picky.do({"a": ("fork", str(path), how)})
    assert os.waitstatus_to_exitcode(wait_status) == status
    assert path.read_text().split() == ["copy"]


def test_what_a_copy_raises_is_printed(worker: Puppet, path: Path) -> None:
    item: Any = ("fork", str(path), "raise")
    worker.do([item, item])
    worker.read_output(lambda text: text.count("ValueError: in the copy") == 2)
