from __future__ import annotations

import functools
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracking.errors import EncodeError
from tracking.wire import codec
from tracking.wire.codec import Payload

ROOT = Path(__file__).parents[2]

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


class Holder:
    def __init__(self, **attributes: object) -> None:
        self.__dict__.update(attributes)


class Slotted:
    __slots__ = ("part",)

    def __init__(self, part: object) -> None:
        self.part = part


def travelled(payload: Payload) -> Payload:
    """The payload as it arrives after it was part of a message."""
    buffers: list[pickle.PickleBuffer] = []
    message = pickle.dumps(("job", 7, payload), 5, buffer_callback=buffers.append)
    arrived: Payload = pickle.loads(message, buffers=[bytearray(buffer) for buffer in buffers])[2]
    return arrived


def generator() -> Any:
    return (n for n in range(3))


@given(plain)
def test_plain_objects_come_back_equal(obj: object) -> None:
    assert codec.decode(codec.encode(obj, "obj")) == obj
    assert codec.decode(travelled(codec.encode_user(obj, "obj"))) == obj


def test_large_arrays_lie_beside_the_pickle_and_small_ones_within() -> None:
    large, small = np.arange(100_000.0), np.arange(10.0)
    payload = codec.encode([large, small], "arrays")
    assert len(payload.data) < 1000
    assert [codec.len_bytes(buffer) for buffer in payload.buffers] == [large.nbytes]
    assert payload.size == len(payload.data) + large.nbytes


def test_large_arrays_are_not_copied_when_encoded() -> None:
    array = np.zeros(100_000)
    payload = codec.encode(array, "array")
    array[0] = 5
    assert np.frombuffer(payload.buffers[0])[0] == 5


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("count", [3, 300])
def test_arrays_that_travelled_are_equal_and_writable(order: Any, count: int) -> None:
    array = np.array(np.arange(count * count).reshape(count, count), order=order)
    result = codec.decode(travelled(codec.encode(array, "array")))
    assert isinstance(result, np.ndarray)
    assert np.array_equal(result, array)
    assert result.flags.writeable
    assert result.flags.f_contiguous == array.flags.f_contiguous


def test_an_array_with_gaps_is_sent_too() -> None:
    array = np.arange(400_000.0)[::2]
    result = codec.decode(travelled(codec.encode(array, "array")))
    assert np.array_equal(result, array)  # type: ignore[arg-type]


def test_lambdas_and_local_classes_go_by_value() -> None:
    class Local:
        def __init__(self, n: int) -> None:
            self.n = n

    result = codec.decode(codec.encode([lambda n: n + 1, Local(3)], "things"))
    assert isinstance(result, list)
    assert result[0](1) == 2
    assert type(result[1]) is Local
    assert result[1].n == 3


def test_large_arrays_lie_beside_code_by_value_too() -> None:
    table = np.arange(100_000.0)
    payload = travelled(codec.encode(lambda n: table[n], "function"))
    assert len(payload.data) < 5000
    function: Callable[[int], float] = codec.decode(payload)  # type: ignore[assignment]
    assert function(7) == 7


def test_what_the_user_hands_in_may_need_dill() -> None:
    holder = Holder(lock=threading.Lock(), table=np.arange(100_000.0))
    payload = travelled(codec.encode_user(holder, "value"))
    result = codec.decode(payload)
    assert isinstance(result, Holder)
    assert result.lock.acquire(blocking=False)  # type: ignore[attr-defined]
    assert result.table[-1] == 99_999  # type: ignore[attr-defined]
    assert len(payload.data) < 5000


def test_a_result_that_needs_dill_is_an_error() -> None:
    with pytest.raises(EncodeError, match="result of item 3 cannot be sent: it is a _thread"):
        codec.encode(threading.Lock(), "result of item 3")


def local_function_with_closure() -> Callable[[], object]:
    numbers = generator()
    return lambda: next(numbers)


@pytest.mark.parametrize(
    ("obj", "part"),
    [
        ({"a": [1, (2, generator())]}, "['a'][1][1] is a generator"),
        (Holder(config={"numbers": generator()}), ".config['numbers'] is a generator"),
        (Slotted(generator()), ".part is a generator"),
        (functools.partial(print, 1, end=generator()), ".keywords['end'] is a generator"),
        (functools.partial(print, generator()), ".args[0] is a generator"),
        (local_function_with_closure(), "closure variable 'numbers' is a generator"),
        ([local_function_with_closure()], "[0] closure variable 'numbers' is a generator"),
        (lambda n=generator(): n, "default 0 is a generator"),  # noqa: B008
        ({generator(): 1}, "key <generator"),
        ({"x", generator()}, "element is a generator"),
        (Holder(method=generator().__next__), ".method is a method-wrapper"),
        ((threading.Lock(), generator()), "[1] is a generator"),
    ],
)
def test_an_error_names_the_part_that_cannot_be_sent(obj: object, part: str) -> None:
    with pytest.raises(EncodeError) as caught:
        codec.encode_user(obj, "value of item 'a'")
    assert str(caught.value).startswith(f"value of item 'a' cannot be sent: {part}")


def test_an_error_says_what_was_tried_and_the_shortest_of_what_was_said() -> None:
    words = "cannot pickle 'generator' object"
    with pytest.raises(EncodeError, match=rf"\(tried pickle, cloudpickle, dill: {words}\)"):
        codec.encode_user(generator(), "value")
    with pytest.raises(EncodeError, match=rf"\(tried pickle, cloudpickle: {words}\)"):
        codec.encode(generator(), "result")


def test_an_object_that_raises_while_it_is_pickled_is_named() -> None:
    class Broken:
        def __reduce__(self) -> str:
            raise KeyError("no state today")

        def __repr__(self) -> str:
            raise ValueError("no words either")

    with pytest.raises(EncodeError, match=r"\[1\] is a .*Broken: <Broken instance at .*no state today"):
        codec.encode([1, Broken()], "result")


def test_the_search_for_the_part_ends_in_cyclic_deep_and_wide_objects() -> None:
    cyclic: list[object] = [generator()]
    cyclic.insert(0, cyclic)
    with pytest.raises(EncodeError, match=r"\[1\] is a generator"):
        codec.encode(cyclic, "cyclic")
    deep: object = generator()
    for _ in range(100):
        deep = [deep]
    with pytest.raises(EncodeError, match="is a list"):
        codec.encode(deep, "deep")
    with pytest.raises(EncodeError, match="it is a list"):
        codec.encode([[] for _ in range(10_000)] + [generator()], "wide")


def test_an_error_survives_pickle() -> None:
    with pytest.raises(EncodeError) as caught:
        codec.encode(generator(), "result")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_only_what_may_speak_of_main_mentions_it() -> None:
    assert not codec.encode([1, "a", Holder(x=1)], "things").mentions_main
    assert codec.encode("in __main__", "text").mentions_main
    assert travelled(codec.encode("in __main__", "text")).mentions_main


def test_plain_work_loads_neither_the_code_picklers_nor_numpy() -> None:
    code = (
        "import sys\n"
        "from tracking.wire import codec, mainmodule, mapped\n"
        "codec.decode(codec.encode_user({'a': [1, 2.0]}, 'values'))\n"
        "heavy = {'cloudpickle', 'dill', 'numpy', 'tracking.wire.by_value', 'tracking.wire.unsendable'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_of_many_objects_nothing_is_made_behind_one_that_is_large() -> None:
    asked: list[int] = []

    def objects() -> Iterator[bytes]:
        for number, size in enumerate([1, 2, 10_000_000, 10_000_000]):
            asked.append(number)
            yield bytes(size)

    assert codec.encode_each(objects()) is None
    assert asked == [0, 1, 2]


def test_what_the_maker_of_many_objects_raises_is_raised() -> None:
    def objects() -> Iterator[int]:
        yield 1
        raise LookupError("there is no second one")

    with pytest.raises(LookupError, match="no second one"):
        codec.encode_each(objects())
