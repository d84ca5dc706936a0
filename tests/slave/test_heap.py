"""Slaves use the memory of large arrays again."""

from __future__ import annotations

import resource
import sys
from typing import Any

import numpy as np
import pytest

from tracking import SlavePool
from tracking.slave import heap

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the C library is another")

MB_8 = np.ones(1_000_000)
PAGES = MB_8.nbytes // resource.getpagesize()


def copied(array: Any) -> tuple[Any, int]:
    """A new array, and how many pages this process was handed out so far."""
    return array.copy(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def test_a_slave_is_handed_out_no_fresh_pages_for_arrays_like_those_before() -> None:
    with SlavePool(1) as pool:
        counts = [pool.submit(copied, MB_8).result()[1] for _ in range(8)]
    assert (counts[-1] - counts[3]) / 4 < PAGES / 4


@pytest.mark.parametrize("environment", [{"MALLOC_TRIM_THRESHOLD_": "0"}, {"GLIBC_TUNABLES": "glibc.malloc.check=1"}])
def test_what_the_user_has_told_the_c_library_holds(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ctypes", None)
    heap.freed_keeper(environment)()
    with pytest.raises(ImportError):
        heap.freed_keeper({})


def test_another_c_library_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    heap.freed_keeper({})()
