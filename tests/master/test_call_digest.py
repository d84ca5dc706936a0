"""Digests of calls: alike where the same code is called with the same values, in whichever process."""

from __future__ import annotations

import functools
import operator
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tracking.master.call_digest import DIGEST_BYTES, CallDigests

ROOT = Path(__file__).parents[2]


def digest(call: Callable[..., Any]) -> bytes:
    return CallDigests().digest(call)


def double(x: int) -> int:
    return 2 * x


def triple(x: int) -> int:
    return 3 * x


class Add:
    def __init__(self, number: Any) -> None:
        self.number = number

    def __call__(self, x: int) -> Any:
        return x + self.number

    def method(self, x: int) -> Any:
        return x - self.number


class Slotted:
    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self) -> int:
        return self.number


class Numbers(list[int]):
    def __call__(self) -> int:
        return sum(self)


class OwnWay:
    def __init__(self, number: int) -> None:
        self._make = lambda: number

    def __reduce__(self) -> tuple[Any, ...]:
        return OwnWay, (self._make(),)

    def __call__(self) -> int:
        return self._make()


def with_default(number: Any) -> Callable[[], Any]:
    return lambda number=number: number


def in_closure(number: Any) -> Callable[[], Any]:
    return lambda: number


MAKERS: list[Callable[[Any], Any]] = [
    Add,
    Slotted,
    OwnWay,
    with_default,
    in_closure,
    lambda n: Numbers([n]),
    lambda n: Add(Add(n)),
    lambda n: Add([Add(n), double]),
    lambda n: Add(n).method,
    functools.partial(functools.partial, double),
    lambda n: functools.partial(double, x=n),
    lambda n: functools.partial(Add(n), 1),
    lambda n: in_closure(in_closure(n)),
]


@pytest.mark.parametrize("make", MAKERS)
def test_the_same_code_with_the_same_values_is_alike_and_with_others_not(make: Callable[[Any], Any]) -> None:
    digests = CallDigests()
    assert digests.digest(make(1)) == digests.digest(make(1)) == digest(make(1))
    assert digests.digest(make(1)) != digests.digest(make(2))
    assert len(digest(make(1))) == DIGEST_BYTES


def test_other_code_with_the_same_values_is_not_alike() -> None:
    assert digest(functools.partial(double, 1)) != digest(functools.partial(triple, 1))
    assert digest(Add(double)) != digest(Add(triple))
    assert digest(in_closure(double)) != digest(in_closure(triple))
    assert digest(Add(1)) != digest(Add(1).method)
    assert digest(operator.add) != digest(operator.sub)
    assert digest(int) != digest(float)


def test_what_cannot_be_pickled_and_what_goes_in_circles_has_a_digest_too() -> None:
    circle: list[Any] = [double]
    circle.append(circle)
    for call in (Add(threading.Lock()), Add(circle), functools.partial(double, circle)):
        assert digest(call)


PROGRAM = """
import functools
from tracking.master.call_digest import CallDigests

FACTOR = 2
class Task:
    def __init__(self, n): self.n, self.words = n, {"a", "b", "c", "d"}
    def __call__(self): return helper(self.n)
def helper(n): return FACTOR * n
digests = CallDigests()
for call in (Task(1), helper, functools.partial(helper, 1), lambda n=3: helper(n), Task(Task(1)).__call__):
    print(digests.digest(call).hex())
"""


def said(program: str, seed: str) -> list[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_digests_agree_between_processes_until_code_changes_that_is_used() -> None:
    first = said(PROGRAM, "1")
    assert said("# a comment\n" + PROGRAM, "2") == first
    for changed in (PROGRAM.replace("FACTOR = 2", "FACTOR = 3"), PROGRAM.replace("FACTOR * n", "FACTOR + n")):
        assert not set(first) & set(said(changed, "2"))
