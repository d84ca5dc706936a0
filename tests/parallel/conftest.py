"""Managers of the tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tracking.parallel import LocalSlave, Manager

ManagerOf = Callable[..., Manager]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Outputs of slaves lie there, and tickets."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def manager_of() -> Iterator[ManagerOf]:
    """Makes a manager with so many local slaves; it is closed at the end."""
    managers = []

    def make(n: int = 0, **options: str) -> Manager:
        manager = Manager(**options)  # type: ignore[arg-type]
        managers.append(manager)
        for _ in range(n):
            manager.add_slave(LocalSlave())
        return manager

    yield make
    for manager in managers:
        manager.close()


class Gates:
    """Named pipes at which tasks wait."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._n = 0

    def new(self) -> str:
        self._n += 1
        path = str(self._folder / f"gate{self._n}")
        os.mkfifo(path)
        return path

    @staticmethod
    def open(path: str) -> None:
        """Let it go on, when it has come."""
        os.close(os.open(path, os.O_WRONLY))

    @staticmethod
    def open_all(paths: list[str]) -> None:
        """Let all go on, when all have come."""
        for end in [os.open(path, os.O_WRONLY) for path in paths]:
            os.close(end)


@pytest.fixture
def gates(tmp_path: Path) -> Gates:
    return Gates(tmp_path)
