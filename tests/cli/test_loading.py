"""What MODULE:FUNCTION and DATA mean."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tracking.cli.loading import file_directory, load_data, load_function, put_on_path
from tracking.errors import InputError

WORK = """
class Shapes:
    class Square:
        @staticmethod
        def area(side):
            return side * side

def double(value):
    return 2 * value

def items():
    return {"a": 1, "b": 2}

def no_items():
    return [1, 2]

def no_data():
    raise RuntimeError("no data today")

number = 5
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory that we are in, with a module that no other test has loaded."""
    known = set(sys.modules)
    (tmp_path / "cli_work.py").write_text(WORK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def test_a_function_is_found_in_a_module(here: Path) -> None:
    assert load_function("cli_work:double")(4) == 8


def test_a_function_is_found_at_the_end_of_a_path_of_attributes(here: Path) -> None:
    assert load_function("cli_work:Shapes.Square.area")(3) == 9


def test_a_function_is_found_in_a_file_and_by_its_modules_name(here: Path) -> None:
    (here / "sub").mkdir()
    (here / "sub" / "deep_work.py").write_text("def triple(value):\n    return 3 * value\n")
    function = load_function("./sub/deep_work.py:triple")
    assert function(2) == 6
    assert function.__module__ == "deep_work"
    assert sys.path[0] == str(here / "sub")
    assert file_directory("./sub/deep_work.py:triple") == str(here / "sub")
    assert file_directory("cli_work:double") is None


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("double", "'double' names no function: write MODULE:FUNCTION"),
        ("cli_work:", "names no function"),
        (":double", "names no function"),
        ("cli_work:gone", "cli_work has no 'gone'"),
        ("cli_work:Shapes.Circle.area", "cli_work:Shapes has no 'Circle'"),
        ("cli_work:number", "cli_work:number is of type int, not a function"),
        ("cli_gone:f", "there is no module 'cli_gone', neither here nor among the installed ones"),
        ("cli_gone.deeper:f", "there is no module 'cli_gone.deeper'"),
        ("gone.py:f", "there is no file gone.py"),
        ("two.dots.py:f", "the name of a module has no dots; rename the file"),
        ("json.py:f", "json.py cannot be imported: there is another module json, in "),
    ],
)
def test_what_is_no_function_is_named(here: Path, spec: str, complaint: str) -> None:
    for name in ("two.dots.py", "json.py"):
        (here / name).write_text("")
    with pytest.raises(InputError) as caught:
        load_function(spec)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("import no_such_package\n", "ModuleNotFoundError: No module named 'no_such_package' ("),
        ("\n1 / 0\n", "ZeroDivisionError: division by zero ("),
        ("def f(:\n", "SyntaxError: invalid syntax (cli_broken.py, line 1)"),
        ("import sys\nsys.exit(3)\n", "ends the program when it is imported (exit status 3)"),
    ],
)
def test_a_module_that_cannot_be_imported_is_told_with_the_place(here: Path, code: str, complaint: str) -> None:
    (here / "cli_broken.py").write_text(code)
    with pytest.raises(InputError) as caught:
        load_function("cli_broken:f")
    assert complaint in str(caught.value)
    assert "cli_broken" in str(caught.value)


def test_the_line_of_a_failed_import_is_told(here: Path) -> None:
    (here / "cli_broken.py").write_text("\n\n1 / 0\n")
    with pytest.raises(InputError, match=r"cli_broken\.py, line 3\)"):
        load_function("./cli_broken.py:f")


def test_data_is_a_file_or_what_a_function_returns(here: Path) -> None:
    (here / "values.json").write_text("[5]")
    assert load_data("values.json") == {0: 5}
    assert load_data("cli_work:items") == {"a": 1, "b": 2}
    assert load_data("./cli_work.py:items") == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("values.json", "values.json cannot be read: No such file"),
        (
            "values.txt",
            "values.txt: data is a file that ends in .json, .jsonl, .ndjson, .csv, or MODULE:CALLABLE",
        ),
        ("cli_work:no_items", "cli_work:no_items returned something of type list, not a dict {id: value}"),
        ("cli_work:no_data", "cli_work:no_data raised RuntimeError: no data today ("),
        ("cli_work:no_data", "cli_work.py, line "),
        ("cli_work:gone", "cli_work has no 'gone'"),
    ],
)
def test_what_is_no_data_is_named(here: Path, spec: str, complaint: str) -> None:
    with pytest.raises(InputError) as caught:
        load_data(spec)
    assert complaint in str(caught.value)


def test_a_directory_put_on_the_path_comes_first_and_only_once(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["a", str(here), "b"])
    put_on_path(".")
    assert sys.path == [str(here), "a", "b"]
