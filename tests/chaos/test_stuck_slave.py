"""One slave is stopped with large arrays in its full socket: the others do not wait, and all ends well."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

import numpy as np
import pytest

from tests.chaos.work import doubled_slowly
from tracking import SlavePool, TrackingJobMaster

STOPPED_S = 4.0
N_NUMBERS = 1_000_000  # 8 MB


@pytest.mark.parametrize(
    ("comes_back", "n_items", "item_s"), [pytest.param(True, 60, 0.2, marks=pytest.mark.slow), (False, 30, 0.1)]
)
def test_the_others_go_on_while_one_is_stuck_with_arrays_of_8_mb(
    comes_back: bool, n_items: int, item_s: float
) -> None:
    data = {number: (np.full(N_NUMBERS, float(number)), item_s) for number in range(n_items)}
    with SlavePool(3) as pool:
        master = TrackingJobMaster(data, 1, function=doubled_slowly, pool=pool, verbose=0)
        came_at, stuck, result = [], 0, {}
        for id, array in master:
            came_at.append(time.monotonic())
            result[id] = array
            if len(came_at) == 10:
                stuck = min(pool.pids.values())
                os.kill(stuck, signal.SIGSTOP)
            if comes_back and stuck and came_at[-1] - came_at[9] > STOPPED_S:
                with suppress(ProcessLookupError):  # it has lost its race, and was ended
                    os.kill(stuck, signal.SIGCONT)
                stuck = 0
    gaps = np.diff(came_at)
    print(f"largest gap {gaps.max():.2f} s, median {np.median(gaps):.3f} s, in all {came_at[-1] - came_at[0]:.2f} s")
    assert result.keys() == data.keys()
    assert all((result[number] == 2 * number).all() for number in data)
    assert gaps[9:-3].max() < STOPPED_S / 2, "the others have waited for the one that is stuck"
