"""Proxies and results: calls, attributes, errors, and what Python itself looks up."""

from __future__ import annotations

import builtins
import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from tests.grid.things import Replica
from tests.pool.helpers import WAIT_S, Gates
from tracking import EncodeError, ItemRaised
from tracking.grid import Grid, Result, TimeoutError


@pytest.fixture
def proxy(one: Grid) -> Any:
    return one.acquire_service(one.publish(Replica()))


def test_a_call_gives_a_result_at_once_and_calls_keep_their_order(proxy: Any, gates: Gates) -> None:
    first = proxy.wait_at(gates.new())
    later = [proxy.note(n) for n in range(20)]
    assert not first.event.is_set()
    gates.open_all()
    assert [result.get(WAIT_S) for result in later] == list(range(1, 21))
    assert proxy.noted().get(WAIT_S) == list(range(20))


def test_keyword_arguments_and_all_kinds_of_methods_work(proxy: Any) -> None:
    assert proxy.add(1, b=2).get(WAIT_S) == 3
    assert proxy.constant().get(WAIT_S) == 42
    assert proxy.which().get(WAIT_S) == "Replica"


def test_data_attributes_are_read_and_set_there(proxy: Any) -> None:
    assert (proxy.energy, proxy.kind, proxy.double) == (1.5, "replica", 3.0)
    proxy.energy = 4.0
    assert proxy.evaluate(True).get(WAIT_S) == (4.0, True)
    assert (proxy.energy, proxy.double) == (4.0, 8.0)
    assert "energy" not in proxy.__dict__


def test_an_attribute_that_was_made_there_is_found(proxy: Any) -> None:
    proxy.grow().get(WAIT_S)
    assert proxy.new_one == "made there"


def test_an_unknown_attribute_is_an_attribute_error(proxy: Any) -> None:
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = proxy.nothing_such
    assert not hasattr(proxy, "nothing_such")


def test_a_property_that_cannot_be_set_says_so(proxy: Any) -> None:
    with pytest.raises(AttributeError):
        proxy.double = 3


def test_what_python_looks_up_is_no_call(proxy: Any) -> None:
    assert copy.copy(proxy) is proxy
    assert copy.deepcopy({"proxy": proxy})["proxy"] is proxy
    assert repr(proxy).startswith("<proxy of Replica.")
    assert "add" in dir(proxy)
    assert bool(proxy)
    assert proxy == proxy
    assert len({proxy}) == 1
    with pytest.raises(TypeError, match="belongs to this process"):
        pickle.dumps(proxy)
    for name in ("__array__", "__len__", "__deepcopy_me__"):
        assert not hasattr(proxy, name)
    assert len(proxy.__dict__["_server"].time) == 0, "nothing was asked there"


def test_a_remote_exception_comes_with_its_traceback_and_harms_nothing(grid: Grid) -> None:
    service_id = grid.publish(Replica())
    proxy = grid.acquire_service(service_id)
    failed = proxy.fail("lost")
    good = proxy.add(1)
    for _ in range(2):  # it may be called again
        with pytest.raises(KeyError, match="lost") as caught:
            failed.get(WAIT_S)
    assert isinstance(caught.value.__cause__, ItemRaised)
    assert "in fail" in caught.value.__cause__.remote_traceback
    assert isinstance(failed.error, KeyError)
    assert failed.event.is_set()
    assert good.get(WAIT_S) == 1
    assert not grid.ishalted()
    assert grid.gather(grid.broadcast(service_id, "add", 2), WAIT_S) == [2, 2]


def test_a_result_that_cannot_be_sent_is_an_error(proxy: Any) -> None:
    with pytest.raises(EncodeError):
        proxy.add((n for n in range(3)), 1).get(WAIT_S)
    assert proxy.add(1).get(WAIT_S) == 1


@pytest.mark.parametrize("wrap", [lambda it: it, lambda it: {"some": [it]}, lambda it: lambda: it])
def test_a_proxy_that_is_to_be_sent_is_refused_at_once_in_plain_words(proxy: Any, wrap: Callable[[Any], Any]) -> None:
    with pytest.raises(EncodeError, match=r"^same\(\) on localhost is not possible: .* proxy cannot travel") as caught:
        proxy.same(wrap(proxy)).get(WAIT_S)
    assert "_actors" not in str(caught.value)
    with pytest.raises(EncodeError, match=r"^setting 'energy' .* a proxy cannot travel"):
        proxy.energy = wrap(proxy)
    assert proxy.add(1).get(WAIT_S) == 1


def test_get_waits_no_longer_than_told_and_may_be_called_again(proxy: Any, gates: Gates) -> None:
    result = proxy.wait_at(gates.new())
    with pytest.raises(TimeoutError, match=r"wait_at\(\) on localhost has no result after 0.01 s"):
        result.get(timeout=0.01)
    assert issubclass(TimeoutError, builtins.TimeoutError)
    with pytest.raises(AttributeError):
        _ = result.value
    gates.open_all()
    assert result.get(WAIT_S) == result.get() == result.value == "gone on"
    assert result.event.wait(WAIT_S)
    assert "there" in repr(result)


def test_a_timeout_that_was_raised_there_is_no_timeout_of_get(proxy: Any) -> None:
    result = proxy.out_of_time()
    with pytest.raises(builtins.TimeoutError, match="there") as caught:
        result.get(WAIT_S)
    assert not isinstance(caught.value, TimeoutError)


def test_the_event_of_a_result_is_set_without_get(proxy: Any) -> None:
    result: Result = proxy.add(1)
    assert result.event.wait(WAIT_S)
    assert (result.value, result.proxy is proxy) == (1, True)


def test_arguments_are_those_at_the_time_of_calling(proxy: Any, gates: Gates) -> None:
    proxy.wait_at(gates.new())
    state = {"x": 1}
    proxy.set_state(state)
    state["x"] = 2
    gates.open_all()
    assert proxy.get_state().get(WAIT_S) == {"x": 1}
