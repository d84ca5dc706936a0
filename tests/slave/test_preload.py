"""What the work of many slaves needs is loaded once, by their starter."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager

import cloudpickle
import pytest

from tests.slave import jobs
from tests.slave.puppet import Puppet
from tracking.fabrics.local import LocalFabric
from tracking.slave import orders, starter
from tracking.wire import mainmodule


@contextmanager
def slave_after(*modules: str) -> Iterator[Puppet]:
    with closing(LocalFabric()) as fabric:
        fabric.preload(modules)
        with closing(Puppet(fabric)) as puppet:
            puppet.set_up(jobs.obey)
            yield puppet


def test_slaves_find_what_was_preloaded_and_nothing_else() -> None:
    with slave_after("cloudpickle", "turtle", "no_such_module") as puppet:
        asked = [("loaded", name) for name in ("cloudpickle", "turtle", "tracking.wire.by_value")]
        assert puppet.do(asked)[0] == [True, False, False]


def test_without_it_slaves_load_nothing_that_they_do_not_need() -> None:
    with slave_after() as puppet:
        assert puppet.do([("loaded", "cloudpickle")])[0] == [False]


def test_a_running_starter_preloads_for_the_slaves_to_come() -> None:
    with closing(LocalFabric()) as fabric, closing(Puppet(fabric, 2)) as first:
        first.set_up(jobs.obey)
        fabric.preload(["cloudpickle"])
        fabric.preload(["cloudpickle"])
        with closing(Puppet(fabric, 3)) as second:
            second.set_up(jobs.obey)
            assert second.do([("loaded", "cloudpickle")])[0] == [True]
        assert first.do([("loaded", "cloudpickle")])[0] == [False]


@pytest.mark.parametrize(
    ("module", "path"), [("turtle", ""), ("cloudpickle", "/elsewhere/cloudpickle/__init__.py"), ("sys", "")]
)
def test_only_the_very_module_of_the_master_is_loaded(
    module: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(starter.sys.modules, "cloudpickle")
    loaded: list[str] = []
    monkeypatch.setattr(starter.importlib, "import_module", loaded.append)
    monkeypatch.setattr(starter.gc, "freeze", lambda: None)
    starter._preload(module, path)
    assert loaded == []
    starter._preload("cloudpickle", str(cloudpickle.__file__))
    assert loaded == ["cloudpickle"]


def test_an_order_to_preload_is_read_as_it_was_given() -> None:
    order = orders.preload("cloudpickle", "/a path/of cloudpickle.py")
    assert orders.words_of(order[orders.HEAD_BYTES :]) == ["preload", "cloudpickle", "/a path/of cloudpickle.py"]


def test_code_says_which_large_modules_it_needs() -> None:
    number = 5
    assert mainmodule.modules_needed(mainmodule.encode_function(os.getpid, "it")) == ()
    assert mainmodule.modules_needed(mainmodule.encode_function(lambda: number, "it")) == ("cloudpickle",)
