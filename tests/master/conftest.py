"""What holds for all tests of masters: slaves that are there for a whole module, and a scheduler that is watched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tracking import SlavePool
from tracking.core.scheduler import Scheduler

_FEW_ITEMS = 500  # a look at all of them takes time


@pytest.fixture(scope="module")
def pool() -> Iterator[SlavePool]:
    """Two slaves. Of module scope, so that they are there before a test begins, and no leak."""
    with SlavePool(2) as pool:
        yield pool


@pytest.fixture(autouse=True)
def everything_fits_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """After every event of a small calculation the scheduler's invariants are looked at; a broken one ends it."""
    handle = Scheduler.handle

    def handle_and_check(self: Scheduler, event: Any, now: float) -> Any:
        commands = handle(self, event, now)
        if len(self.items) <= _FEW_ITEMS:
            self.check()
        return commands

    monkeypatch.setattr(Scheduler, "handle", handle_and_check)
