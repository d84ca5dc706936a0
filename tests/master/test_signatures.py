"""Names, order and defaults are those that were agreed on."""

from __future__ import annotations

import inspect

import pytest

import tracking
from tests.master.helpers import master_of, squares
from tests.master.work import square
from tracking import JobMaster, Status, TrackingJobMaster, restart

ADDED = {
    "function": None,
    "run_file": None,
    "item_timeout": None,
    "retries": 0,
    "max_deaths": 2,
    "host_failures": 10,
    "silence_timeout": 30,
    "heartbeat": 1,
    "memory_limit": None,
    "threads": None,
    "affinity": None,
    "max_jobs": None,
    "on_change": "keep",
    "on_error": "raise",
    "trust": False,
    "keep_results": True,
    "pool": None,
    "fabric": None,
}
REQUIRED = inspect.Parameter.empty


def defaults(what: object) -> dict[str, object]:
    parameters = inspect.signature(what).parameters.values()  # type: ignore[arg-type]
    return {p.name: list(p.default) if p.default == () else p.default for p in parameters}


@pytest.mark.parametrize("cls", [JobMaster, TrackingJobMaster])
def test_the_help_of_a_master_says_what_each_argument_means(cls: type) -> None:
    for name in defaults(cls):
        assert f"\n    {name}: " in inspect.getdoc(cls)  # type: ignore[operator]
    assert "begins with ``start()``" in str(cls.__init__.__doc__)  # type: ignore[misc]


def kinds(what: object) -> dict[str, object]:
    return {p.name: p.kind for p in inspect.signature(what).parameters.values()}  # type: ignore[arg-type]


def test_tracking_job_master_takes_the_old_arguments_in_their_order_with_their_defaults() -> None:
    old = {
        "data": {},
        "chunk_size": 5,
        "hosts": [],
        "niceness": {"default": 20},
        "slave_script": "",
        "verbose": 1,
        "show_output": 0,
        "add_hosts": 1,
        "redistribute": 1,
    }
    assert list(defaults(TrackingJobMaster).items()) == list((old | ADDED).items())


def test_job_master_takes_the_old_arguments_in_their_order_with_their_defaults() -> None:
    old = {
        "data": REQUIRED,
        "chunk_size": REQUIRED,
        "hosts": REQUIRED,
        "niceness": REQUIRED,
        "slave_script": REQUIRED,
        "show_output": 0,
        "result": None,
        "redistribute": 1,
        "verbose": 1,
    }
    assert list(defaults(JobMaster).items()) == list((old | ADDED).items())


@pytest.mark.parametrize("cls", [JobMaster, TrackingJobMaster])
def test_what_was_added_is_keyword_only(cls: type[JobMaster]) -> None:
    keyword_only = {name for name, kind in kinds(cls).items() if kind is inspect.Parameter.KEYWORD_ONLY}
    assert keyword_only == set(ADDED)


def test_run_and_restart_and_status_have_their_signatures() -> None:
    assert list(kinds(tracking.run)) == ["function", "data", "chunk_size", "options"]
    assert kinds(tracking.run)["chunk_size"] is inspect.Parameter.KEYWORD_ONLY
    assert defaults(tracking.run)["chunk_size"] == "auto"
    assert list(kinds(restart)) == ["rst", "params"]
    assert defaults(Status) == {"objects": REQUIRED, "redistribute": 1}


def test_the_class_chain_is_that_of_old() -> None:
    names = [cls.__name__ for cls in TrackingJobMaster.__mro__]
    assert names.index("TrackingJobMaster") < names.index("JobMaster") < names.index("MessageThread")
    assert names.index("MessageThread") < names.index("Thread")


def test_no_default_is_shared_between_masters() -> None:
    first, second = (TrackingJobMaster(function=square, verbose=0) for _ in range(2))
    first.data["a"] = 1
    first.niceness["default"] = 3
    first.hosts.clear()
    first.disabled_hosts.append("x")
    first.slow_hosts["x"] = 2.0
    assert second.data == {}
    assert second.niceness == {"default": 20}
    assert second.hosts
    assert second.disabled_hosts == []
    assert second.slow_hosts == {}


def test_what_was_given_is_not_changed() -> None:
    result = {0: 0}
    niceness = {"default": 0}
    master = JobMaster({0: 0, 1: 1}, 5, ["localhost"], niceness, "", result=result, function=square, verbose=0)
    master.calculateResult()
    assert result == {0: 0}
    assert niceness == {"default": 0}


def test_hosts_are_nicknamed_by_their_number_and_a_single_one_keeps_its_name() -> None:
    master = master_of(hosts=["localhost", "127.0.0.1", "localhost"])
    assert master.hosts == [
        {"host": "localhost", "nickname": "localhost_0"},
        {"host": "127.0.0.1", "nickname": "127.0.0.1"},
        {"host": "localhost", "nickname": "localhost_1"},
    ]


def test_a_string_is_one_host() -> None:
    assert master_of(hosts="localhost").hosts == [{"host": "localhost", "nickname": "localhost"}]


def test_no_hosts_mean_one_slave_per_usable_core() -> None:
    from tracking.fabrics.machine import usable_cores

    assert len(master_of(hosts=[]).hosts) == usable_cores()


def test_run_takes_any_option_of_the_master() -> None:
    assert tracking.run(square, {i: i for i in range(4)}, chunk_size=1, hosts="localhost", verbose=0) == squares(4)


def test_a_job_master_computes_too() -> None:
    master = JobMaster({0: 0, 1: 1}, 1, ["localhost"], {}, "", function=square, verbose=0)
    assert master.calculateResult() == squares(2)
