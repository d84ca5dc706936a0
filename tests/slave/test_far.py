"""Slaves that are told to be on another host, for real."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import cloudpickle
import pytest

from tests.far import FarFabric
from tests.slave import jobs
from tests.slave.puppet import CALCULATION, Puppet
from tracking.wire import codec
from tracking.wire import messages as m


@contextmanager
def far_slave(home: Path, directory: str | None = None) -> Iterator[Puppet]:
    fabric = FarFabric(home, directory)
    try:
        puppet = Puppet(fabric)
        try:
            yield puppet
        finally:
            puppet.close()
    finally:
        fabric.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (home := tmp_path / "home").mkdir()
    return home


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The master's directory, which the slave's host has not got: it is gone when the slave is set up."""
    (place := tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setattr(os, "getcwd", lambda: str(place))
    return place


@pytest.fixture
def beside(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module of the user's that the slave's host has not got."""
    (elsewhere / "my_tools.py").write_text(
        "class Point:\n    def __init__(self, x): self.x = x\n\ndef twice(point): return Point(2 * point.x)\n"
    )
    monkeypatch.syspath_prepend(str(elsewhere))
    yield importlib.import_module("my_tools")
    del sys.modules["my_tools"]


def where(value: object) -> tuple[str, list[str]]:
    return os.getcwd(), sys.path


def test_a_far_slave_works_where_its_master_does_and_finds_the_same(home: Path) -> None:
    with far_slave(home) as puppet:
        assert puppet.set_up(where)[0] == m.READY
        assert puppet.do([0])[0] == [(os.getcwd(), sys.path)]


def test_it_stays_at_home_where_that_is_not_there(home: Path, elsewhere: Path) -> None:
    with far_slave(home) as puppet:
        shutil.rmtree(elsewhere)
        assert puppet.set_up(where)[0] == m.READY
        assert puppet.do([0])[0][0][0] == str(home)


def test_it_works_in_the_directory_that_is_set_for_its_host(home: Path, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "only_here.py").write_text("ANSWER = 42\n")
    with far_slave(home, str(tmp_path / "scratch")) as puppet:
        assert puppet.set_up(where)[0] == m.READY
        directory, path = puppet.do([0])[0][0]
        assert directory == str(tmp_path / "scratch")
        assert directory in path


@pytest.mark.parametrize("name", ["~/work", "work"])
def test_such_a_directory_may_be_in_the_home_there(home: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (home / "work").mkdir()
    monkeypatch.setenv("HOME", str(home))
    with far_slave(home, name) as puppet:
        assert puppet.set_up(where)[0] == m.READY
        assert puppet.do([0])[0][0][0] == str(home / "work")


def test_a_directory_that_is_not_there_is_named_with_its_host(home: Path) -> None:
    with far_slave(home, "/no/such/place") as puppet:
        answer = puppet.set_up(jobs.square)
        assert answer[0] == m.SETUP_FAILED
        assert "directory '/no/such/place' of host node cannot be entered: No such file" in answer[2][1]
        assert "set another" in answer[2][1]


def test_a_module_that_its_host_has_not_got_is_named_with_what_to_do(
    home: Path, elsewhere: Path, beside: ModuleType
) -> None:
    with far_slave(home) as puppet:
        shutil.rmtree(elsewhere)
        answer = puppet.set_up(beside.twice)
        assert answer[0] == m.SETUP_FAILED
        text = answer[2][1]
        assert text.startswith("ModuleNotFoundError: No module named 'my_tools'; host node lacks module 'my_tools':")
        assert "install it there; if it is your own, put it into a directory that you set as" in text
        assert "cloudpickle.register_pickle_by_value(my_tools)" in text


def test_a_module_that_is_registered_to_go_by_value_need_not_be_there(
    home: Path, elsewhere: Path, beside: ModuleType
) -> None:
    cloudpickle.register_pickle_by_value(beside)
    try:
        with far_slave(home) as puppet:
            shutil.rmtree(elsewhere)
            assert puppet.set_up(beside.twice)[0] == m.READY
            puppet.send((m.JOB, CALCULATION, 1, codec.encode_user([beside.Point(3)], "items")))
            (result,), _ = puppet.answer(1)
    finally:
        cloudpickle.unregister_pickle_by_value(beside)
    assert result.x == 6
    assert type(result) is beside.Point


def test_it_is_found_in_the_directory_of_the_host(home: Path, elsewhere: Path, beside: ModuleType) -> None:
    with far_slave(home, str(home)) as puppet:
        elsewhere.rename(home / "elsewhere")
        (home / "elsewhere" / "my_tools.py").rename(home / "my_tools.py")
        assert puppet.set_up(beside.twice)[0] == m.READY
        (result,), _ = puppet.do([beside.Point(3)])
        assert result.x == 6


def test_a_script_that_is_only_on_the_master_runs_and_its_tracebacks_show_its_lines(
    home: Path, elsewhere: Path
) -> None:
    script = elsewhere / "slave.py"
    script.write_text(
        "# -*- coding: latin-1 -*-\nfrom tracking import JobSlave\nclass Far(JobSlave):\n"
        "    def go(self, jobs):\n        return {id: 1 // value for id, value in jobs.items()}  # \xe9\n",
        encoding="latin-1",
    )
    source = script.read_bytes()
    with far_slave(home) as puppet:
        script.write_text("raise SystemExit('this is another one')\n")
        assert puppet.set_up(str(script), source=source)[0] == m.READY
        shutil.rmtree(elsewhere)
        assert puppet.do({"a": 1}) == ([1], {})
        _, text, traceback, _ = puppet.failure({"a": 0}, job=2)
        assert text == "ZeroDivisionError: integer division or modulo by zero"
        assert f'File "{script}", line 5, in' in traceback
        assert "return {id: 1 // value for id, value in jobs.items()}  # \xe9" in traceback
