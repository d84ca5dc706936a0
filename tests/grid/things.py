"""What the tests of grids publish."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any


class Replica:
    """Like the objects of the one known client: everything can be called through ``m``."""

    kind = "replica"

    def __init__(self, energy: float = 1.5) -> None:
        self.energy = energy
        self.state: dict[str, Any] = {"x": 0}
        self.calls: list[int] = []

    def m(self, name: str, *args: Any) -> Any:
        return getattr(self, name)(*args)

    def evaluate(self, derivatives: bool) -> tuple[float, bool]:
        return self.energy, derivatives

    def get_state(self) -> dict[str, Any]:
        return self.state

    def set_state(self, state: dict[str, Any]) -> None:
        self.state = state

    def add(self, a: int, b: int = 0) -> int:
        return a + b

    def same(self, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return args, kwargs

    def note(self, n: int) -> int:
        self.calls.append(n)
        return len(self.calls)

    def noted(self) -> list[int]:
        return self.calls

    def fail(self, text: str) -> None:
        raise KeyError(text)

    def out_of_time(self) -> None:
        raise TimeoutError("there")

    def wait_at(self, gate: str) -> str:
        Path(gate).read_bytes()
        return "gone on"

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def pid(self) -> int:
        return os.getpid()

    def grow(self) -> None:
        self.new_one = "made there"

    @property
    def double(self) -> float:
        return 2 * self.energy

    @staticmethod
    def constant() -> int:
        return 42

    @classmethod
    def which(cls) -> str:
        return cls.__name__


class Unmakeable:
    """Can be sent, but not made there."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _refuse, ()


def _refuse() -> None:
    raise RuntimeError("it is not made here")


class Slotted:
    """Has no room for an id."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 3

    def get(self) -> int:
        return self.value
