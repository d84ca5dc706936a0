"""Modules that were sent are modules like others, though nothing of them is on a disk."""

from __future__ import annotations

import importlib
import inspect
import marshal
import sys
import traceback
from collections.abc import Iterator

import pytest

from tracking.slave.arrival import SentModules

TEXT = 'def fail():\n    raise ValueError("with its line")  # is shown\n'
FILE = "/no/such/folder/sent_package/part.py"


@pytest.fixture
def finder() -> Iterator[SentModules]:
    code = marshal.dumps(compile(TEXT, FILE, "exec"))
    finder = SentModules(
        {
            "sent_package": (True, "/no/such/folder/sent_package/__init__.py", "from sent_package import part", b""),
            "sent_package.part": (False, FILE, TEXT, b""),
            "sent_package.ready": (False, FILE, "no text that could be run", code),
        }
    )
    sys.meta_path.insert(0, finder)  # type: ignore[arg-type]
    yield finder
    sys.meta_path.remove(finder)  # type: ignore[arg-type]
    for name in [name for name in sys.modules if name.partition(".")[0] == "sent_package"]:
        del sys.modules[name]


def test_packages_and_their_modules_are_imported(finder: SentModules) -> None:
    package = importlib.import_module("sent_package")
    assert package.part.__name__ == "sent_package.part"
    assert package.part.__file__ == FILE
    assert finder.is_package("sent_package")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("sent_package.other")


def test_what_was_sent_with_its_code_is_not_compiled(finder: SentModules) -> None:
    assert importlib.import_module("sent_package.ready").fail


def test_tracebacks_show_their_lines(finder: SentModules) -> None:
    part = importlib.import_module("sent_package.part")
    try:
        part.fail()
    except ValueError:
        shown = traceback.format_exc()
    assert f'File "{FILE}", line 2, in fail\n    raise ValueError("with its line")  # is shown' in shown
    assert inspect.getsource(part.fail) == TEXT


def test_nothing_else_is_found(finder: SentModules) -> None:
    assert finder.find_spec("json") is None
