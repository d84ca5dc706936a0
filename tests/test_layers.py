"""Imports go one way: a room may know the rooms below it, and those on its floor that are written here."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "tracking"

FLOORS = {
    "errors": 0,
    "collector": 0,
    "styled": 0,
    "core": 1,
    "wire": 1,
    "messaging": 2,
    "output": 2,
    "report": 2,
    "progress": 2,
    "tables": 2,
    "store": 2,
    "why": 3,
    "slave": 3,
    "fabrics": 3,
    "pool": 4,
    "master": 5,
    "cli": 6,
    "hosts": 6,
    "testing": 6,
    "parallel": 6,
    "multi": 6,
    "service": 6,
    "grid": 6,
    "__main__": 7,
}
SAME_FLOOR = {
    ("progress", "report"),  # a display is made of what a report says
    ("fabrics", "slave"),  # a fabric starts what is in slave
}
OLDER_INTERFACES = {"parallel", "multi", "service", "grid"}
PURE = {
    "__future__", "abc", "bisect", "collections", "dataclasses", "enum", "functools", "heapq", "itertools", "math",
    "operator", "types", "typing", "array",
}  # fmt: skip


def room_of(module: str) -> str:
    """``tracking.wire.codec`` lies in ``wire``; the package itself in no room."""
    return module.split(".")[1] if module.count(".") else ""


def imported_modules(path: Path) -> set[str]:
    """Every module that a file imports, wherever in it, but for type checking only."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    modules: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            modules |= names if node.module == "tracking" else {str(node.module)}
    return modules


SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_from_lower_floors(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for module in imported_modules(path):
        room = room_of(module)
        if not module.startswith("tracking.") or room == own or room not in FLOORS:
            assert not module.startswith("tracking.") or room == own or room == "__version__", (
                f"{own} imports {module}"
            )
            continue
        assert FLOORS[room] < FLOORS[own] or (own, room) in SAME_FLOOR, f"{own} must not import {module}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_engine_knows_none_of_the_older_interfaces(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    named = {f"tracking.{face}" for face in OLDER_INTERFACES - {own}}
    words = {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert not [word for word in words if ".".join(word.split(".")[:2]) in named], "not even by a name to be imported"


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").glob("*.py")), ids=lambda path: path.name)
def test_the_core_imports_nothing_that_acts(path: Path) -> None:
    outside = {m for m in imported_modules(path) if not m.startswith("tracking.")}
    assert {module.partition(".")[0] for module in outside} <= PURE


def loaded_after(code: str) -> set[str]:
    """The modules of a fresh interpreter that has run this code."""
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(json.loads(answer.stdout.splitlines()[-1]))


def test_importing_the_package_loads_nothing() -> None:
    loaded = loaded_after("import tracking")
    assert not {name for name in loaded if name.startswith("tracking.")}
    assert not loaded & {"rich", "sqlite3", "threading", "dill", "cloudpickle"}


def test_a_slave_script_loads_errors_wire_messaging_and_slave_only() -> None:
    loaded = loaded_after("from tracking import JobSlave\nimport tracking.slave.starter")
    rooms = {room_of(name) for name in loaded if name.startswith("tracking.")}
    assert rooms <= {"collector", "errors", "wire", "messaging", "slave"}
    assert not loaded & {"rich", "sqlite3", "dill", "cloudpickle", "numpy", "click", "asyncio"}


def test_a_relay_whose_line_is_there_loads_nothing_that_takes_long() -> None:
    there_anyway = loaded_after("")  # as by what makes a checkout importable
    loaded = loaded_after("import tracking.slave.relay") - there_anyway
    takes_long = {"asyncio", "dataclasses", "inspect", "pathlib", "tempfile"}
    assert not loaded & {"argparse", "ssl", *takes_long}
    dialling = loaded_after("import tracking.slave.relay, tracking.slave.dial, tracking.wire.tickets")
    assert not (dialling - there_anyway) & takes_long


def test_what_starts_slaves_is_there_before_the_engine_is_loaded() -> None:
    loaded = loaded_after("from tracking import SlavePool, TrackingJobMaster, run") - loaded_after("")
    assert not loaded & {"tracking.pool.crew", "tracking.core.scheduler", "tracking.master.calculation"}
    loaded = loaded_after("import tracking.pool.crew, tracking.master.calculation, tracking.fabrics.local")
    assert not (loaded - loaded_after("")) & {"dataclasses", "inspect", "sqlite3", "rich", "ssl", "asyncio"}
