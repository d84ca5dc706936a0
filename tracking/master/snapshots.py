"""A calculation at one moment, as it is shown and reported; loaded when somebody looks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tracking.master.host_lines import host_lines
from tracking.master.situation import error_words, troubles_of
from tracking.report import Snapshot

if TYPE_CHECKING:
    from tracking.master.calculation import Calculation
    from tracking.master.job_master import JobMaster


def take_snapshot(master: JobMaster) -> Snapshot:
    """How things stand now; in any thread."""
    calculation, items = master._tr_calculation, master.status._tr_items
    troubles = () if calculation is None else _troubles(calculation)
    with master.status.lock:
        n_failed = len(master._tr_errors)
        return Snapshot(
            n_items=len(items),
            n_finished=items.count_finished - n_failed,
            n_failed=n_failed,
            n_active=items.count_active,
            n_restored=master._tr_n_restored,
            elapsed_s=time.monotonic() - master._tr_began,
            lines=() if calculation is None else host_lines(master.hosts, master.slaves, calculation.scheduler),
            troubles=troubles,
            note=error_words(master._tr_failure),
        )


def _troubles(calculation: Calculation) -> tuple[str, ...]:
    crew = calculation.crew
    if calculation.record.problem or crew.trouble() or crew.waiting_for() or calculation.chronicle.losses():
        return troubles_of(calculation)
    return ()
