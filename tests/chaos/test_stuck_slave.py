"""One slave is stopped with large arrays in its full socket: the others do not wait, and all ends well."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import numpy as np
import pytest

from tests.chaos.work import doubled_slowly
from tracking import SlavePool, TrackingJobMaster

N_NUMBERS = 1_000_000  # 8 MB
STOPPED_AT, BACK_AT = 10, 40  # results


@pytest.mark.parametrize(
    ("comes_back", "n_items", "item_s"), [pytest.param(True, 60, 0.2, marks=pytest.mark.slow), (False, 30, 0.1)]
)
def test_the_others_go_on_while_one_is_stuck_with_arrays_of_8_mb(
    comes_back: bool, n_items: int, item_s: float
) -> None:
    data = {number: (np.full(N_NUMBERS, float(number)), item_s) for number in range(n_items)}
    with SlavePool(3, heartbeat=3600) as pool:  # nobody finds out that it is stuck: whoever waited would do so for ever
        master = TrackingJobMaster(data, 1, function=doubled_slowly, pool=pool, verbose=0)
        stuck, result = 0, {}
        for id, array in master:
            result[id] = array
            if len(result) == STOPPED_AT:
                stuck = min(pool.pids.values())
                os.kill(stuck, signal.SIGSTOP)
            if comes_back and len(result) == BACK_AT:
                with suppress(ProcessLookupError):  # it has lost its race, and was ended
                    os.kill(stuck, signal.SIGCONT)
    assert result.keys() == data.keys()
    assert all((result[number] == 2 * number).all() for number in data)
