"""The names that a grid's users know, and what slaves load of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tracking.grid
from tracking.grid import Grid, PyroGrid

ROOT = Path(__file__).resolve().parents[2]
OF_OLD = {
    "AbstractGrid", "AbstractService", "FIFOBasedGrid", "FileBasedGrid", "Host", "Pipe", "PyroGrid", "Result",
    "Server", "SortedQueue", "TimeoutError", "WatchDog", "abspath", "create_host_list", "get_sge_host_list",
    "remote_mkdirs",
}  # fmt: skip


def test_every_name_is_there_and_says_what_it_is() -> None:
    assert set(tracking.grid.__all__) >= OF_OLD
    for name in tracking.grid.__all__:
        assert getattr(tracking.grid, name).__doc__, name
        assert name in dir(tracking.grid)
    with pytest.raises(AttributeError):
        _ = tracking.grid.NoSuchName


def test_every_method_of_the_abstract_grid_is_there() -> None:
    for name in (
        "publish", "create_service_id", "add_server", "find_server", "acquire_service", "release_service",
        "_release_service", "add_time", "set_loader", "set_debug", "dp", "initialise", "terminate", "ishalted",
        "copy_files", "broadcast", "scatter", "gather", "start", "join",
    ):  # fmt: skip
        assert callable(getattr(tracking.grid.AbstractGrid, name)), name


def test_slaves_load_little_of_it() -> None:
    code = "import tracking.grid.far, sys, json; print(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(json.loads(answer.stdout))
    assert {name for name in loaded if name.startswith("tracking.grid")} == {"tracking.grid", "tracking.grid.far"}
    assert not {name for name in loaded if name.startswith(("tracking.pool", "tracking.fabrics", "tracking.core"))}


@pytest.mark.parametrize(
    ("grid", "unknown", "words"),
    [
        (Grid, "n_hosts", r"Grid\(\) has no argument 'n_hosts'; is 'hosts' meant\?"),
        (Grid, "silence_timout", r"'silence_timout'; is 'silence_timeout' meant\?"),
        (Grid, "publish_wit", "'publish_wit'; is 'publish_wait' meant"),
        (Grid, "niceness", "Grid.. has no argument 'niceness'"),  # of a host
        (Grid, "quux", "has no argument 'quux'$"),
        (PyroGrid, "metod", r"PyroGrid\(\) has no argument 'metod'; is 'method' meant\?"),
    ],
)
def test_an_unknown_argument_is_refused_when_a_grid_is_made(grid: Any, unknown: str, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        grid(["localhost"], **{unknown: 3})
