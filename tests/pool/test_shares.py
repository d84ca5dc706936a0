"""Threads and CPUs of slaves: what each host's slaves get, and what real slaves then have."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.pool import jobs
from tests.pool.helpers import WAIT_S
from tracking import InputError, SlavePool
from tracking.errors import CalculationError, NoSlavesError
from tracking.fabrics.settings import HostSettings
from tracking.master import TrackingJobMaster
from tracking.pool.shares import Shares
from tracking.slave.cores import VARIABLES, Share, cpus_for, thread_variables

ONE_EACH = dict.fromkeys(VARIABLES, "1")


@pytest.fixture(autouse=True)
def silent_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def environment(**options: Any) -> dict[str, str]:
    with SlavePool(1, **options) as pool:
        found: dict[str, str] = pool.submit(jobs.thread_variables).result(WAIT_S)
        return found


# ---- what is meant


@pytest.mark.parametrize(
    ("threads", "affinity"),
    [
        (-1, None), (1.5, None), (True, None), ("2", None), ({"a": "many"}, None),
        (None, "all"), (None, ""), (None, []), (None, 3), (None, ["0-3", "x"]), (None, {"a": "1-"}), (None, "3-1"),
        (None, "0-99999999999"), (None, "0,3-1"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(threads: Any, affinity: Any) -> None:
    with pytest.raises(InputError, match=r"^(threads|affinity)( of 'a')? must be"):
        Shares(threads, affinity, {})


def test_what_is_said_of_a_host_goes_before_its_file_and_that_before_what_holds_for_all() -> None:
    settings = {"a": HostSettings(threads=2, affinity="0"), "b": HostSettings(threads=3)}
    shares = Shares({"a": 4, "default": 5}, "each", settings)
    assert [shares.next(host)[1:] for host in "abc"] == [(4, "0"), (3, "each"), (5, "each")]


def test_slaves_are_counted_host_by_host() -> None:
    shares = Shares(None, None, {})
    assert [shares.next(host).number for host in "aabab"] == [0, 1, 0, 2, 1]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, ONE_EACH),
        ({"OMP_NUM_THREADS": "8"}, {}),
        ({"MKL_NUM_THREADS": "8"}, {name: "1" for name in VARIABLES if name != "MKL_NUM_THREADS"}),
        ({"OMP_NUM_THREADS": ""}, ONE_EACH),
    ],
)
def test_one_thread_each_unless_the_environment_says_otherwise(
    environ: Mapping[str, str], expected: Mapping[str, str]
) -> None:
    assert thread_variables(None, environ) == expected


def test_a_number_that_is_asked_for_goes_before_the_environment_and_none_leaves_it_alone() -> None:
    assert thread_variables(3, {"OMP_NUM_THREADS": "8"}) == dict.fromkeys(VARIABLES, "3")
    assert thread_variables(0, {}) == {}


def test_slaves_with_cpus_of_their_own_begin_anew_when_there_are_no_more() -> None:
    found = [cpus_for(Share(index, 2, "each"), {2, 3, 6, 7, 8}) for index in range(3)]
    assert found == [{2, 3}, {6, 7}, {8, 2}]
    assert cpus_for(Share(0, 9, "each"), {2, 3}) == {2, 3}


def test_sets_are_given_in_turn_as_far_as_they_are_there() -> None:
    found = [cpus_for(Share(index, None, "0-3 4-7"), range(6)) for index in range(3)]
    assert found == [{0, 1, 2, 3}, {4, 5}, {0, 1, 2, 3}]
    with pytest.raises(InputError, match="is to use CPUs 8-9, but has only 0, 1 here"):
        cpus_for(Share(0, None, "8-9"), {0, 1})


# ---- what real slaves have


def test_slaves_have_one_thread_each() -> None:
    assert environment() == ONE_EACH


def test_what_the_user_has_set_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert environment() == {"OMP_NUM_THREADS": "3"}
    assert environment(threads=2) == dict.fromkeys(VARIABLES, "2")


def test_nothing_is_set_where_libraries_shall_choose_themselves() -> None:
    assert environment(threads={"localhost": 0}) == {}


@pytest.mark.parametrize(("threads", "expected"), [(None, 1), (2, 2)])
def test_numpy_starts_so_many_threads(threads: int | None, expected: int) -> None:
    pytest.importorskip("numpy")
    with SlavePool(1, threads=threads) as pool:
        before, after = pool.submit(jobs.threads_before_and_after_numpy).result(WAIT_S)
    assert after - before == expected - 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="binds no process to CPUs")
def test_each_slave_of_a_master_has_a_cpu_of_its_own() -> None:
    usable = os.sched_getaffinity(0)
    options: dict[str, Any] = {"hosts": len(usable), "chunk_size": 1, "verbose": 0, "redistribute": 0, "niceness": 0}
    data = dict.fromkeys(range(2 * len(usable)))
    result = TrackingJobMaster(data, function=jobs.own_cpus, affinity="each", **options).calculateResult()
    assert all(len(cpus) == 1 for cpus in result.values())
    assert set().union(*result.values()) <= usable


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="binds no process to CPUs")
def test_a_slave_that_takes_the_place_of_another_has_its_cpu() -> None:
    with SlavePool(2, affinity="each", max_jobs=1) as pool:
        found = [pool.submit(jobs.own_cpus).result(WAIT_S) for _ in range(4)]
    assert set(map(len, found)) == {1}


def test_cpus_that_a_host_lacks_are_an_error_that_says_so() -> None:
    master = TrackingJobMaster({0: 0}, function=jobs.own_cpus, affinity="100000", hosts=1, verbose=0)
    with pytest.raises((CalculationError, NoSlavesError), match="is to use CPUs 100000, but has only"):
        master.calculateResult()


def test_a_hosts_file_says_it_of_a_host(tmp_path: Path) -> None:
    cpu = min(os.sched_getaffinity(0))
    file = tmp_path / "hosts.toml"
    file.write_text(f"[own]\nlocalhost = {{slots = 1, threads = 2, affinity = [{cpu}]}}\n")
    with SlavePool(f"@{file}") as pool:
        assert pool.submit(jobs.thread_variables).result(WAIT_S) == dict.fromkeys(VARIABLES, "2")
        assert pool.submit(jobs.own_cpus).result(WAIT_S) == {cpu}
