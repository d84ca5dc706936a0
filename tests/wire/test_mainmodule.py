"""Each script here runs as a real ``__main__`` and gives work to a real, bare child interpreter."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from tracking.errors import EncodeError
from tracking.wire import codec, mainmodule

ROOT = Path(__file__).parents[2]

# What a slave does, without any of its machinery: it installs, loads a function, applies it, answers.
SLAVE = """
import pickle, sys, types
from tracking.wire import codec, mainmodule
function = None
while True:
    order, payload = pickle.load(sys.stdin.buffer)
    if order == "install":
        mainmodule.install(payload)
    elif order == "function":
        function = mainmodule.decode_function(payload)
    elif order == "begin anew":
        sys.modules["__main__"] = types.ModuleType("__main__")
    elif order == "loaded":
        pickle.dump(set(sys.modules), sys.stdout.buffer)
    else:
        results = [function(value) for value in codec.decode(payload)]
        pickle.dump(codec.encode(results, "results"), sys.stdout.buffer)
    sys.stdout.buffer.flush()
"""

# The head of each script: what a master does, without any of its machinery.
HEAD = f"""
import pickle as _pickle, subprocess as _subprocess, sys as _sys
from tracking.wire import codec as _codec, mainmodule as _mainmodule

class _Slave:
    def __enter__(self):
        command = [_sys.executable, "-W", "error", "-c", {SLAVE!r}]
        self.process = _subprocess.Popen(command, stdin=_subprocess.PIPE, stdout=_subprocess.PIPE)
        return self
    def __exit__(self, *exc_info):
        self.process.kill()
        self.process.communicate()
    def tell(self, order, payload=None):
        _pickle.dump((order, payload), self.process.stdin, protocol=5)
        self.process.stdin.flush()
    def loaded(self):
        self.tell("loaded")
        return _pickle.load(self.process.stdout)
    def map(self, function, values):
        self.tell("function", _mainmodule.encode_function(function, "function"))
        payload = _codec.encode_user(values, "values")
        names = _mainmodule.names_needed(payload)
        if names:
            self.tell("install", _mainmodule.bundle(names))
        self.tell("call", payload)
        return _codec.decode(_pickle.load(self.process.stdout))

def on_slave(function, values):
    with _Slave() as slave:
        return slave.map(function, values)
"""

DEFINITIONS = """
import collections, dataclasses, enum, functools, typing

class Color(enum.Enum):
    RED = 1
    BLUE = 2

class Mode(enum.IntFlag):
    FAST = 1
    SAFE = 2

@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: int = 0

class Pair(typing.NamedTuple):
    left: object
    right: object

Old = collections.namedtuple("Old", "a b")

class Outer:
    class Inner:
        def __init__(self, n):
            self.n = n

class Trouble(ValueError):
    def __init__(self, code):
        super().__init__(code)
        self.code = code

class Slotted:
    __slots__ = ("n",)
    def __init__(self, n):
        self.n = n

class Base:
    def doubled(self):
        return 2 * self.n

class Derived(Base):
    def __init__(self, n):
        super().__init__()
        self.n = n

def make_point(n):
    return Point(n, helper(n))

def helper(n):
    return n * FACTOR

FACTOR = 10
UNUSED = (i for i in ())  # cannot be pickled: whoever carries all globals fails
"""


def run_script(tmp_path: Path, body: str, *, how: str = "file") -> None:
    """Run HEAD, DEFINITIONS and ``body`` as ``__main__`` in a fresh interpreter; its asserts are the test."""
    path = tmp_path / "script.py"
    path.write_text(HEAD + DEFINITIONS + body)
    arguments = {"file": [str(path)], "stdin": ["-"], "module": ["-m", "script"]}[how]
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        input=path.read_text() if how == "stdin" else "",
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("how", ["file", "stdin", "module"])
def test_what_a_function_makes_of_main_classes_comes_back_as_our_own(tmp_path: Path, how: str) -> None:
    body = """
results = on_slave(make_point, [1, 2])
assert results == [Point(1, 10), Point(2, 20)], results
assert all(type(point) is Point for point in results)
"""
    run_script(tmp_path, body, how=how)


def test_every_kind_of_main_class_survives_the_round_trip_as_our_own(tmp_path: Path) -> None:
    body = """
values = [Color.RED, Mode.FAST | Mode.SAFE, Point(1), Pair(Color.BLUE, 2), Old(1, 2), Outer.Inner(3),
          Trouble(4), Slotted(5), Derived(6), Point, Color, Outer.Inner, make_point]
results = on_slave(lambda value: value, values)
assert [type(result) for result in results] == [type(value) for value in values], results
assert results[0] is Color.RED and results[3].left is Color.BLUE
assert results[6].code == 4 and results[7].n == 5 and results[8].doubled() == 12
assert results[9:] == [Point, Color, Outer.Inner, make_point], results[9:]
"""
    run_script(tmp_path, body)


def test_classes_made_by_the_function_need_not_be_in_its_values(tmp_path: Path) -> None:
    body = """
def make_all(n):
    return {"list": [Color(n)], "tuple": (Point(n),), "inner": Outer.Inner(n), "derived": Derived(n),
            n: Trouble(n)}

result, = on_slave(make_all, [1])
assert result["list"][0] is Color.RED and type(result["tuple"][0]) is Point
assert type(result["inner"]) is Outer.Inner and type(result["derived"]) is Derived
assert type(result[1]) is Trouble
"""
    run_script(tmp_path, body)


def test_results_of_main_classes_travel_by_name_and_not_by_value(tmp_path: Path) -> None:
    body = """
with _Slave() as slave:
    slave.tell("function", _mainmodule.encode_function(make_point, "function"))
    slave.tell("call", _codec.encode([1], "values"))
    payload = _pickle.load(slave.process.stdout)
assert b"cloudpickle" not in payload.data and len(payload.data) < 100, payload.data
"""
    run_script(tmp_path, body)


@pytest.mark.parametrize(
    "expression",
    [
        "lambda value: Point(value)",
        "functools.partial(Pair, Point(0))",
        "Worker(7).work",
        "Worker(7)",
        "closure(Color.RED)",
        "memoised",
        "annotated",
        "Outer.Inner",
        "functools.partial(second, Outer.Inner(2))",
    ],
)
def test_functions_of_every_kind_run_elsewhere_as_they_run_here(tmp_path: Path, expression: str) -> None:
    body = f"""
class Worker:
    def __init__(self, n):
        self.n = n
    def work(self, value):
        return Pair(type(self), self.n + value)
    __call__ = work

def closure(color):
    def inner(value):
        return color, value, helper(value)
    return inner

@functools.lru_cache(maxsize=10)
def memoised(value):
    return value if value < 2 else memoised(value - 1) + memoised(value - 2)

Id = typing.NewType("Id", int)

def annotated(value: Id) -> typing.Optional[Point]:
    return Point(Id(value))

def second(first, value):
    return type(first), value

function = {expression}
here, there = [function(value) for value in (1, 2, 3)], on_slave(function, [1, 2, 3])
fields = lambda things: [vars(thing) if type(thing) is Outer.Inner else thing for thing in things]
assert fields(here) == fields(there) and list(map(type, here)) == list(map(type, there)), (here, there)
"""
    run_script(tmp_path, body)


def test_a_local_class_comes_back_as_our_own_which_stays_as_it_was(tmp_path: Path) -> None:
    body = """
calls = []
def scope():
    class Local:
        def note(self):
            calls.append(self)
    return Local
Local = scope()
note = Local.note
returned, made = on_slave(lambda value: value, [Local()])[0], on_slave(lambda value: Local(), [1])[0]
assert type(returned) is type(made) is Local and Local.note is note
made.note()
assert calls == [made]
"""
    run_script(tmp_path, body)


def test_a_local_class_made_on_the_slave_still_arrives(tmp_path: Path) -> None:
    body = """
def local_instance(n):
    class Local:
        where = Color.BLUE
        def get(self):
            return n
    return Local()
result, = on_slave(local_instance, [3])
assert result.get() == 3 and result.where is Color.BLUE
"""
    run_script(tmp_path, body)


def test_a_class_defined_anew_between_two_calculations_replaces_the_one_before(tmp_path: Path) -> None:
    body = """
with _Slave() as slave:
    assert slave.map(make_point, [1]) == [Point(1, 10)]
    First = Point
    class Point:
        def __init__(self, x, y):
            self.name = f"new {x} {y}"
    FACTOR = 100
    result, = slave.map(make_point, [1])
    assert type(result) is Point is not First and result.name == "new 1 100"
    value, = slave.map(lambda point: point, [Point(2, 3)])
    assert type(value) is Point and value.name == "new 2 3"
"""
    run_script(tmp_path, body)


def test_a_slave_that_begins_anew_with_an_empty_main_learns_the_names_again(tmp_path: Path) -> None:
    body = """
with _Slave() as slave:
    for _ in range(2):
        result, made = slave.map(lambda value: value or Color.RED, [Point(1), None])
        assert type(result) is Point and made is Color.RED
        slave.tell("begin anew")
"""
    run_script(tmp_path, body)


def test_classes_come_with_all_that_python_lets_them_have(tmp_path: Path) -> None:
    body = """
class Register:
    known = []
    def __init_subclass__(cls):
        Register.known.append(cls.__name__)

class Full(Register):
    __private = 3
    @staticmethod
    def static(n): return n + 1
    @classmethod
    def of_class(cls): return cls.__private
    @property
    def prop(self): return super().__init__ is not None
    @functools.cached_property
    def cached(self): return [1]
    def all(self): return self.static(1), self.of_class(), self.prop, self.cached, self.cached is self.cached

@dataclasses.dataclass(slots=True, frozen=True)
class Frozen:
    n: int
    things: list = dataclasses.field(default_factory=list)

T = typing.TypeVar("T")
class Generic(typing.Generic[T]):
    pass

class Empty:
    __slots__ = ()

assert on_slave(Full.all, [Full()]) == [Full().all()] == [(2, 3, True, [1], True)]
assert on_slave(lambda n: Frozen(n), [1]) == [Frozen(1)]
assert [type(each) for each in on_slave(lambda each: each(), [Generic, Empty])] == [Generic, Empty]
assert Register.known == ["Full"]
"""
    run_script(tmp_path, body)


def test_the_part_of_a_class_that_cannot_be_sent_is_named(tmp_path: Path) -> None:
    body = """
class Bad:
    @staticmethod
    def first(): pass
    numbers = (n for n in range(3))
    def method(self, n): pass
try:
    _mainmodule.encode_function(Bad().method, "function")
except TypeError as error:
    assert str(error).startswith("function cannot be sent: .__self__ class.numbers is a generator"), error
else:
    raise AssertionError("it was sent")
"""
    run_script(tmp_path, body)


def test_a_class_changed_between_two_calculations_is_taken_as_it_is_now(tmp_path: Path) -> None:
    body = """
Base.step = 1
with _Slave() as slave:
    assert slave.map(lambda n: Base.step * n, [5]) == [5]
    Base.step = 2
    assert slave.map(lambda n: Base.step * n, [5]) == [10]
"""
    run_script(tmp_path, body)


def test_lambdas_among_values_and_results_arrive(tmp_path: Path) -> None:
    body = """
result, = on_slave(lambda function: (function(1), lambda: Point(5)), [lambda value: make_point(value)])
assert result[0] == Point(1, 10) and type(result[0]) is Point
assert type(result[1]()) is Point
"""
    run_script(tmp_path, body)


def test_a_result_that_brings_code_changes_no_global_of_ours(tmp_path: Path) -> None:
    body = """
counter = [0]
def work(n):
    counter.append(n)
    return lambda: counter
result, = on_slave(work, [1])
assert result() == [0, 1] and counter == [0]
"""
    run_script(tmp_path, body)


def test_a_function_with_a_lock_among_its_globals_is_left_to_dill(tmp_path: Path) -> None:
    body = """
import threading
lock = threading.Lock()
def locked(n):
    with lock:
        return Point(n)
result, = on_slave(locked, [1])
assert type(result) is Point and result.x == 1
"""
    run_script(tmp_path, body)


def test_a_value_that_only_dill_can_send_keeps_its_main_class(tmp_path: Path) -> None:
    body = """
import threading
class Guarded:
    def __init__(self):
        self.lock, self.n = threading.Lock(), 4
result, = on_slave(lambda value: (type(value).__name__, value.n, value.lock.acquire(False)), [Guarded()])
assert result == ("Guarded", 4, True), result
"""
    run_script(tmp_path, body)


def test_a_large_array_used_as_a_global_is_not_copied_into_the_pickle(tmp_path: Path) -> None:
    body = """
import numpy
table = numpy.arange(1_000_000)
def look_up(n):
    return int(table[n]) + int(alias.sum())
alias = table[:10]
payload = _mainmodule.encode_function(look_up, "function")
assert payload.size - 8_000_080 < 10_000 and len(payload.data) < 10_000, payload.size
assert on_slave(look_up, [7]) == [52]
"""
    run_script(tmp_path, body)


def test_a_function_loaded_in_its_own_process_leaves_everything_as_it_was(tmp_path: Path) -> None:
    body = """
before = dict(globals())
method = Base.doubled
for function in make_point, Derived, Outer.Inner, functools.partial(second := lambda a, b: a, Color.RED):
    _mainmodule.decode_function(_mainmodule.encode_function(function, "function"))
assert _mainmodule.decode_function(_mainmodule.encode_function(make_point, "function")) is make_point
_mainmodule.install(_mainmodule.bundle(["Point", "Derived", "Color", "make_point"]))
assert Base.doubled is method and all(globals()[name] is value for name, value in before.items())
"""
    run_script(tmp_path, body)


def test_a_slave_with_plain_work_loads_no_code_picklers(tmp_path: Path) -> None:
    body = """
import math
with _Slave() as slave:
    assert slave.map(math.sqrt, [4.0]) == [2.0]
    assert not slave.loaded() & {"cloudpickle", "dill", "numpy", "tracking.wire.by_value"}
    assert not set(_sys.modules) & {"cloudpickle", "dill", "numpy", "tracking.wire.by_value"}
"""
    run_script(tmp_path, body)


def test_names_needed_are_those_referred_to_and_not_those_spoken_of(tmp_path: Path) -> None:
    body = """
def needed(value):
    return set(_mainmodule.names_needed(_codec.encode_user(value, "value")))
assert needed({"a": 1}) == needed("__main__") == needed([b"__main__", "Point"]) == set()
assert needed([Point(1), Point(2), Color.RED, {"k": Outer.Inner(1)}]) == {"Point", "Color", "Outer"}
assert needed(lambda: make_point(FACTOR)) == {"make_point"}
things = [Old(1, 2), Mode.FAST, {Point(1): {Slotted(2)}}, Trouble(3)]
assert needed(things) == {"Old", "Mode", "Point", "Slotted", "Trouble"}
boxes = [collections.OrderedDict(a=Point(1)), collections.deque([Derived(1)]), {1, 2}, bytearray(b"x")]
assert needed(boxes) == {"Point", "Derived"}
import threading
assert needed([threading.Lock(), Point(1)]) == {"Point"}
"""
    run_script(tmp_path, body)


def test_nothing_of_a_pickle_is_run_to_find_its_names() -> None:
    class Loud:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return exec, ("raise SystemExit('it was run: __main__')",)

    assert mainmodule.names_needed(codec.encode(Loud(), "loud")) == frozenset()


def test_a_name_that_main_has_not_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EncodeError, match="__main__ has no Gone any more"):
        mainmodule.bundle(["Gone"])


def test_a_function_that_nothing_can_send_is_said_with_its_part() -> None:
    numbers = (n for n in range(3))
    with pytest.raises(EncodeError, match="function cannot be sent: closure variable 'numbers' is a gen"):
        mainmodule.encode_function(lambda: next(numbers), "function")


def test_a_function_that_can_be_imported_goes_by_its_name() -> None:
    payload = mainmodule.encode_function(pickle.dumps, "function")
    assert mainmodule.decode_function(payload) is pickle.dumps
    assert len(payload.data) < 50
