"""Objects to bytes and back."""

from __future__ import annotations

import pickle
import threading
from typing import Any

import pytest

from tracking.errors import EncodeError, StoreError
from tracking.store.pickling import from_bytes, to_bytes


class Stubborn:
    def __reduce__(self) -> tuple[Any, ...]:
        raise ValueError("not me")


def _missing() -> None:
    raise ModuleNotFoundError("No module named 'gone'")


class Gone:
    def __reduce__(self) -> tuple[Any, ...]:
        return _missing, ()


def test_plain_data_are_a_plain_pickle() -> None:
    data = {"a": [1, (2.5, None)], "b": b"x"}
    assert pickle.loads(to_bytes(data, "it")) == data
    assert from_bytes(to_bytes(data, "it"), "it") == data


def test_functions_without_a_name_travel_by_value() -> None:
    factor = 3
    function = from_bytes(to_bytes(lambda x: factor * x, "the function"), "the function")
    assert function(2) == 6


def test_what_only_dill_takes_is_taken() -> None:
    lock = from_bytes(to_bytes({"lock": threading.Lock()}, "it"), "it")["lock"]
    assert not lock.locked()


def test_what_cannot_be_pickled_is_named_with_its_part() -> None:
    with pytest.raises(EncodeError, match=r"the restart data\['bad'\] cannot be pickled: ValueError: not me"):
        to_bytes({"good": 1, "bad": Stubborn()}, "the restart data")
    with pytest.raises(EncodeError, match=r"it cannot be pickled: ValueError: not me"):
        to_bytes([Stubborn()], "it")


def test_what_cannot_be_read_back_is_named_with_the_reason() -> None:
    said = r"the recipe cannot be read back: .*'gone'; is the code .* installed here"
    with pytest.raises(StoreError, match=said):
        from_bytes(pickle.dumps(Gone()), "the recipe")
    with pytest.raises(StoreError, match="the recipe cannot be read back"):
        from_bytes(b"\x80\x05garbage", "the recipe")


def test_what_was_defined_in_a_script_says_so_elsewhere() -> None:
    with pytest.raises(StoreError, match="read it from that program"):
        from_bytes(b"c__main__\nNowhereDefined\n.", "it")
