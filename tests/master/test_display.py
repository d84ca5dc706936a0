"""When the master's loop has to wake for what people see."""

from __future__ import annotations

import io
import sys
import time

import pytest

from tracking.master.display import Display
from tracking.report import Snapshot


def no_snapshot() -> Snapshot:
    raise AssertionError("nothing is due")


def test_a_quiet_calculation_never_wakes_for_its_display() -> None:
    assert Display(0, no_snapshot).pause_s(time.monotonic()) == float("inf")


def test_one_that_shows_itself_sleeps_until_the_next_draw_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    display = Display(1, no_snapshot)
    now = time.monotonic()
    pause_s = display.pause_s(now)
    assert 0.0 < pause_s < float("inf")
    assert display.pause_s(now + pause_s / 2) == pytest.approx(pause_s / 2)
    assert display.pause_s(now + 2 * pause_s) == 0.0
    display.update(now)
