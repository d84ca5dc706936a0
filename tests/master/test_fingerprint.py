"""Results that were made with other code or other values are told from those that still hold."""

from __future__ import annotations

import functools
import math
import operator
import os
import pickle
import random
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import numpy as np
import pytest

from tests.master.helpers import ROOT, master_of
from tests.master.work import Squares, square
from tracking.errors import StoreError
from tracking.master import resume
from tracking.master.fingerprint import code_fingerprint, data_fingerprint


def defined(source: str, name: str = "work") -> Any:
    """What a program defines under a name; each time it is made anew, as in another process."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, f"{id(names)}.py", "exec"), names)  # noqa: S102
    return names[name]


def of(source: str) -> str:
    return code_fingerprint(defined(source), "")


def of_values(values: dict[Any, Any]) -> str:
    return data_fingerprint(values, list(values))


PROGRAM = """
import math
SCALE = 3
NAMES = {"one", "two", "three"}
TABLE = {"double": lambda x: 2 * x}
class Base:
    offset = 1
    def shift(self, x): return x + self.offset
class Shift(Base):
    def __init__(self, by): self.by = by
    def __call__(self, x): return self.shift(x) + self.by
shift = Shift(4)
def helper(x, power=2): return x ** power
def outer(a):
    def work(x):
        try:
            return [helper(v) * SCALE + a for v in (x, len(NAMES))] + [TABLE["double"](x), shift(x)]
        except ValueError:
            return math.pi
    return work
work = outer(5)
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SCALE = 3", "SCALE = 4"),
        ("SCALE = 3", "SCALE = 3.0"),
        ('"three"}', '"four"}'),
        ("2 * x}", "3 * x}"),
        ("offset = 1", "offset = 2"),
        ("x + self.offset", "x - self.offset"),
        ("Shift(Base)", "Shift(Base, object)"),
        ("Shift(4)", "Shift(5)"),
        ("power=2", "power=3"),
        ("x ** power", "x * power"),
        ("outer(5)", "outer(6)"),
        ("ValueError", "TypeError"),
        ("math.pi", "math.e"),
        ("(x, len(NAMES))", "(len(NAMES), x)"),
    ],
)
def test_every_part_that_makes_a_result_counts(old: str, new: str) -> None:
    assert old in PROGRAM
    assert of(PROGRAM.replace(old, new)) != of(PROGRAM)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("import math", "import math\n\n# a comment\nUNUSED = 7\ndef unused(): pass"),
        ("    offset = 1", "    'A docstring.'\n    offset = 1"),
        ("work = outer(5)", "five = 5\nwork = outer(five)"),
    ],
)
def test_what_makes_no_result_does_not_count(old: str, new: str) -> None:
    assert of(PROGRAM.replace(old, new)) == of(PROGRAM)


def test_the_text_of_a_docstring_does_not_count_but_every_other_text_does() -> None:
    source = "def work(x):\n    'one'\n    return [v + 'two' for v in x]"
    assert of(source) == of(source.replace("one", "another"))
    assert of(source) != of(source.replace("two", "another"))


def test_a_global_that_the_function_assigns_is_its_own_affair() -> None:
    source = "cache = None\ndef work(x):\n    global cache\n    cache = cache or x\n    return cache"
    assert of(source) == of(source.replace("None", "1", 1))


def test_an_attribute_of_the_name_of_a_global_is_not_that_global() -> None:
    source = "data = 1\ndef work(x):\n    return x.data"
    assert of(source) == of(source.replace("data = 1", "data = 2"))


CALLABLES: list[Callable[[], Any]] = [
    lambda: len,
    lambda: math.sqrt,
    lambda: math.exp,
    lambda: str.upper,
    lambda: str.lower,
    lambda: "a".join,
    lambda: "b".join,
    lambda: np.sqrt,
    lambda: np.exp,
    lambda: np.linalg.norm,
    lambda: operator.itemgetter(1),
    lambda: operator.itemgetter(2),
    lambda: functools.partial(pow, 2),
    lambda: functools.partial(pow, 3),
    lambda: functools.partial(pow, exp=3),
    lambda: functools.lru_cache(square),
    lambda: functools.lru_cache(defined("def work(x): return x")),
    lambda: np.vectorize(square),
    lambda: square,
    lambda: Squares,
    lambda: defined(PROGRAM, "shift"),
    lambda: defined(PROGRAM, "shift").shift,
    lambda: defined(PROGRAM, "Shift"),
    lambda: defined("def work(x): return work(x - 1)"),
    lambda: defined("def work(x): return absent(x)"),
    lambda: defined("import numpy as np\ncases = np.arange(3)\ndef work(x): return cases[x]"),
    lambda: defined("import numpy as np\ncases = np.arange(4)\ndef work(x): return cases[x]"),
    lambda: defined("loop = [1]\nloop.append(loop)\ndef work(x): return loop"),
    lambda: defined("from enum import Enum\nclass C(Enum):\n    R = 1\n    G = 2\ndef work(x): return C.R"),
    lambda: defined("from enum import Enum\nclass C(Enum):\n    R = 1\n    G = 3\ndef work(x): return C.R"),
    lambda: defined("class C:\n    __slots__ = 'a'\n    def __init__(self, a): self.a = a\nwork = C(1).__init__"),
    lambda: defined("class C:\n    __slots__ = 'a'\n    def __init__(self, a): self.a = a\nwork = C(2).__init__"),
    lambda: defined("from collections import Counter\nc = Counter('ab')\ndef work(x): return c"),
    lambda: defined("from collections import Counter\nc = Counter('abc')\ndef work(x): return c"),
]


def test_any_callable_has_a_fingerprint_of_its_own_that_stays() -> None:
    prints = [code_fingerprint(make(), "") for make in CALLABLES]
    assert prints == [code_fingerprint(make(), "") for make in CALLABLES]
    assert len(set(prints)) == len(prints)


class Odd:
    """Nothing can be learned of its instances, not even their attributes."""

    def __init__(self) -> None:
        raise AssertionError("never made")

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("keep off")


@pytest.mark.parametrize(
    "make",
    [object, threading.Lock, lambda: (i for i in ()), lambda: Odd.__new__(Odd), random.Random, np.random.default_rng],
)
def test_what_cannot_be_told_never_raises_and_never_differs(make: Callable[[], Any]) -> None:
    def fingerprint(thing: Any) -> str:
        return code_fingerprint(lambda x: (x, thing), "")

    assert fingerprint(make()) == fingerprint(make()) != fingerprint(1)


def test_nesting_without_end_ends() -> None:
    nested: Any = square
    for _ in range(5000):
        nested = [nested]
    assert code_fingerprint(lambda x: (x, nested), "") == code_fingerprint(lambda x: (x, nested), "")


def test_a_function_that_came_by_value_is_the_same() -> None:
    work = defined(PROGRAM)
    assert code_fingerprint(pickle.loads(cloudpickle.dumps(work)), "") == code_fingerprint(work, "")


def test_a_use_of_its_objects_does_not_change_a_fingerprint() -> None:
    work = defined(PROGRAM)
    before = code_fingerprint(work, "")
    work(2)
    copies = [pickle.loads(cloudpickle.dumps(work)) for _ in range(2)]
    assert {code_fingerprint(function, "") for function in (work, *copies)} == {before}


def test_what_the_users_modules_hold_counts_where_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_helper(source: str) -> str:
        module = types.ModuleType("own_helper")
        exec(source, module.__dict__)  # noqa: S102
        monkeypatch.setitem(sys.modules, "own_helper", module)
        return of("import own_helper\ndef work(x): return own_helper.half(x)")

    first = with_helper("def half(x): return x / 2\nother = 1")
    assert with_helper("def half(x): return x / 2\nother = 2") == first
    assert with_helper("def half(x): return x // 2\nother = 1") != first


def test_a_slave_class_counts_with_its_methods_and_bases() -> None:
    def of_class(source: str) -> str:
        return code_fingerprint(None, defined("from tracking import JobSlave\n" + source))

    source = "class base(JobSlave):\n    n = 2\nclass work(base):\n    def go(self, jobs): return {1: self.n}"
    assert of_class(source) == of_class(source)
    assert of_class(source) != of_class(source.replace("n = 2", "n = 3"))
    assert of_class(source) != of_class(source.replace("self.n}", "self.n + 1}"))


def test_a_slave_script_counts_with_its_text_wherever_it_lies(tmp_path: Path) -> None:
    first, second = tmp_path / "a.py", tmp_path / "b.py"
    first.write_text("x = 1")
    second.write_text("x = 1")
    assert code_fingerprint(None, first) == code_fingerprint(None, str(second)) != ""
    second.write_text("x = 2")
    assert code_fingerprint(None, first) != code_fingerprint(None, second)
    assert code_fingerprint(None, tmp_path / "absent.py") == ""


OTHER_PROCESS = """
import sys
from tests.master.test_fingerprint import CALLABLES, PROGRAM, SETS, code_fingerprint, of, of_values
print(of(PROGRAM), of_values(SETS), *(code_fingerprint(make(), "") for make in CALLABLES))
"""
SETS: dict[Any, Any] = {
    frozenset({"p", "q", i}): {f"s{i}", "t", frozenset({"u", f"v{i}", ("w", i)})} for i in range(20)
}


def test_fingerprints_agree_between_processes_whatever_their_hash_seed() -> None:
    here = [of(PROGRAM), of_values(SETS), *(code_fingerprint(make(), "") for make in CALLABLES)]
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", OTHER_PROCESS]
        said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        assert said.split() == here


# ---- values


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({1: 1, 2: 2}, {1: 2, 2: 1}),
        ({1: 1}, {1: 1.0}),
        ({1: 1}, {1: True}),
        ({1: "a"}, {1: b"a"}),
        ({1: ["ab"]}, {1: ["ac"]}),
        ({1: {1, 2}}, {1: {1, 3}}),
        ({1: {1, 2}}, {1: frozenset({1, 2})}),
        ({1: np.arange(3)}, {1: np.arange(3).astype("i4")}),
        ({1: np.zeros((2, 3))}, {1: np.zeros((3, 2))}),
        ({1: np.zeros(100_000)}, {1: np.ones(100_000)}),
    ],
)
def test_other_values_have_another_fingerprint(one: dict[Any, Any], other: dict[Any, Any]) -> None:
    assert of_values(one) != of_values(other) != ""


@pytest.mark.parametrize(
    "ids",
    [[3, 1, 2], ["b", "a"], [1, "a", None, 2.5], [(1, "a"), (0, "b")], [frozenset({1, 2}), frozenset({3}), 5]],
)
def test_the_order_of_the_items_does_not_matter(ids: list[Any]) -> None:
    data = {id: f"value {index}" for index, id in enumerate(ids)}
    assert data_fingerprint(data, ids) == data_fingerprint(data, ids[::-1]) != ""


def test_equal_values_agree_whether_they_share_their_parts_or_not() -> None:
    text, array = "some text", np.arange(5)
    shared = {1: (text, array), 2: (text, array + 0)}
    apart = {id: pickle.loads(pickle.dumps(value)) for id, value in shared.items()}
    assert of_values(shared) == of_values(apart)
    assert of_values({1: text, 2: text}) == of_values({1: text, 2: "".join(text)})


def test_the_layout_of_an_array_does_not_matter() -> None:
    array = np.arange(12.0).reshape(3, 4)
    assert of_values({1: array}) == of_values({1: np.asfortranarray(array)}) == of_values({1: np.tile(array, 2)[:, :4]})


class MadeWhenAsked(dict[int, int]):
    def __getitem__(self, id: int) -> int:
        raise AssertionError("values that are made when they are asked for are not asked for")


def generate() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize("data", [{1: generate()}, {1: lambda: 1}, MadeWhenAsked({1: 1}), types.MappingProxyType({})])
def test_values_of_which_nothing_can_be_said_have_no_fingerprint(data: Any) -> None:
    assert data_fingerprint(data, list(data)) == ""


# ---- what a master says


def negative(value: int) -> int:
    return -value


def seen(value: Any) -> Any:
    return value, 1


KEEPING = "kept. on_change='recompute' computes {} anew, on_change='refuse' would not begin."


@pytest.mark.parametrize(
    ("data", "function", "said"),
    [
        (4, square, ""),
        (4, negative, "4 results in it were made with other code (items 0, 1, 2, ...); they are"),
        ({0: 0, 1: 1, 2: 2, 3: 9}, square, "1 result in it was made with other values (item 3); it is"),
        (
            {0: 0, 1: 1, 2: 2, 3: 9},
            negative,
            "4 results in it were made with other code and other values (items 0, 1, 2, ...); they are",
        ),
    ],
)
def test_old_results_of_other_code_or_values_are_kept_and_told(
    data: Any, function: Any, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "it.run"
    before = master_of(4, run_file=path).calculateResult()
    assert caplog.messages == []
    assert master_of(data, function, run_file=path).calculateResult() == before
    keeping = KEEPING.format("it" if said.endswith("it is") else "them")
    assert caplog.messages == ([f"run file {path}: {said} {keeping}"] if said else [])
    assert {record.levelname for record in caplog.records} <= {"WARNING"}


def test_changed_items_are_computed_again_and_only_these(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "it.run"
    data: dict[Any, Any] = {i: i for i in range(6)}
    assert master_of(data, seen, run_file=path).calculateResult() == {i: (i, 1) for i in range(6)}
    data |= {2: 20, 5: 50}
    seen_again = master_of(data, seen, run_file=path, on_change="recompute")
    assert seen_again.calculateResult() == {i: (i, 1) for i in range(6)} | {2: (20, 1), 5: (50, 1)}
    assert caplog.messages == [
        f"run file {path}: 2 results in it were made with other values (items 2, 5); they are computed anew."
    ]
    caplog.clear()
    assert master_of(data, seen, run_file=path).calculateResult() == seen_again.result
    assert caplog.messages == []


def test_a_calculation_with_changed_items_can_be_refused_before_any_slave_starts(tmp_path: Path) -> None:
    path = tmp_path / "it.run"
    master_of(3, square, run_file=path).calculateResult()
    master = master_of(3, negative, run_file=path, on_change="refuse")
    with pytest.raises(StoreError, match="3 results that were made with other code"):
        master.start()
    assert master.slaves == {}
    assert master_of(3, square, run_file=path, on_change="refuse").calculateResult() == {0: 0, 1: 1, 2: 4}


def test_what_is_resumed_from_the_run_file_alone_is_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "it.run"
    data = {name: [name, np.arange(3), {name, "x"}, "shared"] for name in ("a", "b")}
    factor = 3
    before = master_of(data, lambda value: value[0] * factor, run_file=path).calculateResult()
    assert resume(path, pool=None).calculateResult() == before
    assert caplog.messages == []
