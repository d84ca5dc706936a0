"""What comes out of one pickle is all needed: the garbage collector waits for it, and for nothing else."""

from __future__ import annotations

import gc
import os
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from tracking.wire import codec

LARGE = b"x" * 20_000
seen: list[bool] = []


class Looks:
    """When it is unpickled it looks whether the collector is on."""

    def __reduce__(self) -> Any:
        return _look, ()


class Raises:
    def __reduce__(self) -> Any:
        return int, ("no number",)


class Forks:
    def __reduce__(self) -> Any:
        return _fork, ()


def _look() -> None:
    seen.append(gc.isenabled())


def _fork() -> int:
    child = os.fork()
    if not child:
        os._exit(0 if gc.isenabled() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def decoded(*parts: object) -> Any:
    return codec.decode(codec.encode(list(parts), "parts"))


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    seen.clear()
    assert gc.isenabled()
    yield
    gc.enable()


def test_the_collector_waits_while_a_large_object_is_made() -> None:
    decoded(LARGE, Looks())
    assert seen == [False]
    assert gc.isenabled()


def test_for_a_small_object_it_does_not_wait() -> None:
    decoded(Looks())
    assert seen == [True]


def test_it_goes_on_after_an_object_that_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="no number"):
        decoded(LARGE, Raises())
    assert gc.isenabled()


def test_where_the_user_has_switched_it_off_it_stays_off() -> None:
    gc.disable()
    decoded(LARGE, Looks())
    assert not gc.isenabled()


def test_in_a_process_that_is_forked_meanwhile_it_is_on() -> None:
    assert decoded(LARGE, Forks())[1] == 0


def test_many_objects_are_looked_through_once_not_once_for_each_few_hundred() -> None:
    payload = codec.encode([{"number": number, "list": [number]} for number in range(20_000)], "dicts")
    collections: list[str] = []
    gc.callbacks.append(lambda phase, info: collections.append(phase))
    try:
        made = codec.decode(payload)
    finally:
        gc.callbacks.pop()
    assert len(made) == 20_000  # type: ignore[arg-type]  # it is the list
    assert collections.count("start") <= 1
    assert len(pickle.dumps(made)) > 0
