"""Masters whose slaves are on other hosts, for real."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.far import FarFabric
from tests.master.helpers import master_of
from tests.master.work import square
from tracking import InputError, JobSlave, NoSlavesError, SlavePool
from tracking.master import sending
from tracking.wire import mapped

LARGE = np.arange(300_000, dtype=float)


class Sums(JobSlave):
    """Says of each item how large the array is that it was given at first, and whether it may be written."""

    def initialize(self, params: Any) -> None:
        self.array = params

    def go(self, jobs: dict[Any, Any]) -> dict[Any, Any]:
        return {id: (float(self.array.sum()), self.array.flags.writeable) for id in jobs}


@pytest.fixture
def fabric(tmp_path: Path) -> Iterator[FarFabric]:
    fabric = FarFabric(tmp_path)
    yield fabric
    fabric.close()


def with_array(**options: Any) -> Any:
    master = master_of(3, None, slave_script=Sums, **options)
    master.getInitParameters = lambda tid: LARGE
    return master


def test_a_far_slave_does_what_it_is_given(fabric: FarFabric) -> None:
    assert master_of(5, square, fabric=fabric, hosts=["localhost"]).calculateResult() == {i: i * i for i in range(5)}


def test_what_is_large_goes_to_far_slaves_through_their_lines(
    fabric: FarFabric, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped, "share", lambda payload: pytest.fail("a far slave cannot open it"))
    result = with_array(fabric=fabric).calculateResult()
    assert result == dict.fromkeys(range(3), (float(LARGE.sum()), True))


def test_what_is_large_is_shared_with_slaves_on_this_machine() -> None:
    result = with_array().calculateResult()
    assert result == dict.fromkeys(range(3), (float(LARGE.sum()), False))


def test_large_code_is_encoded_once_for_near_and_far_slaves(fabric: FarFabric) -> None:
    array = LARGE.copy()
    encoded = []

    class Noted:
        def __reduce__(self) -> Any:
            encoded.append(1)
            return int, (7,)

    noted = Noted()

    def work(value: int) -> tuple[int, float, int]:
        return os.getpid(), float(array.sum()), int(noted)  # type: ignore[call-overload]

    result = master_of(9, work, fabric=fabric, hosts=["localhost"] * 2, chunk_size=1).calculateResult()
    assert {values[1:] for values in result.values()} == {(float(LARGE.sum()), 7)}
    assert len(encoded) == 1


def test_a_script_that_vanishes_before_its_slaves_come_is_run_all_the_same(fabric: FarFabric, tmp_path: Path) -> None:
    script = tmp_path / "gone" / "slave.py"
    script.parent.mkdir()
    script.write_text(
        "from tracking import JobSlave\n"
        "class S(JobSlave):\n"
        "    def go(self, jobs): return {i: v + 1 for i, v in jobs.items()}\n"
    )
    master = master_of(3, None, slave_script=script, fabric=fabric)
    start = fabric.start

    def start_later(spec: Any) -> Any:
        script.unlink(missing_ok=True)
        return start(spec)

    fabric.start = start_later  # type: ignore[method-assign]
    assert master.calculateResult() == {0: 1, 1: 2, 2: 3}


def test_a_script_that_is_gone_is_named_before_any_slave_starts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"slave script .*gone\.py' cannot be read: No such file"):
        sending.read_script(tmp_path / "gone.py")


def test_a_directory_that_a_host_has_not_got_ends_the_calculation_with_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fabric = FarFabric(tmp_path, "/no/such/place")
    with caplog.at_level(logging.WARNING), pytest.raises(NoSlavesError, match="'/no/such/place' of host localhost"):
        master_of(3, square, fabric=fabric).calculateResult()
    fabric.close()


def test_a_pools_calls_are_made_on_far_slaves(fabric: FarFabric) -> None:
    with SlavePool(["localhost"], fabric=fabric) as pool:
        assert pool.submit(square, 7).result() == 49
