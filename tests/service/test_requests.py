"""Requests: what they hold, what travels, what is refused."""

from __future__ import annotations

import pickle

import pytest

from tests.service.services import Sum
from tracking.service import Client, Request, Service, request


class Fit(Request):
    service = "lab.fit"
    version = "1.0"


def test_the_state_is_what_has_no_underscore_and_always_service_and_version() -> None:
    fit = Fit(model="m", _cache=[1])
    assert fit.__getstate__() == {"model": "m", "service": "lab.fit", "version": "1.0"}


def test_service_and_version_of_the_instance_count() -> None:
    assert Fit(version="2.0").__getstate__() == {"service": "lab.fit", "version": "2.0"}


def test_a_request_travels_without_its_private_attributes() -> None:
    copied = pickle.loads(pickle.dumps(Fit(model="m", _cache=1)))
    assert vars(copied) == {"model": "m", "service": "lab.fit", "version": "1.0"}


def test_setstate_replaces_filters_and_copies() -> None:
    fit, state = Fit(old=1), {"model": "m", "_private": 2, "service": "lab.fit", "version": "1.0"}
    fit.__setstate__(state)
    state["model"] = "changed"
    assert vars(fit) == {"model": "m", "service": "lab.fit", "version": "1.0"}


def test_what_a_request_lacks_is_said() -> None:
    with pytest.raises(AttributeError, match=r"^Request does not define the service$"):
        Request(version="1").__getstate__()
    with pytest.raises(AttributeError, match=r"^Request does not define the version$"):
        pickle.dumps(Request(service="lab.fit"))


def test_a_request_has_nothing_to_fill_in_unless_it_says_so() -> None:
    with pytest.raises(NotImplementedError):
        Request().queue()


def test_request_of_a_service_has_its_name_and_version_and_the_text() -> None:
    made = request(Sum, values=[1, 2])
    assert made.__getstate__() == {"values": [1, 2], "service": "tests.service.services.Sum", "version": "1"}
    assert Sum.request(values=[1, 2]).__getstate__() == made.__getstate__()
    assert repr(made) == "Request(values=[1, 2], service='tests.service.services.Sum', version='1')"


def test_request_does_not_let_the_text_say_service_or_version() -> None:
    with pytest.raises(TypeError, match="'version' from Sum"):
        Sum.request(version="9")


def test_services_name_themselves_by_class_and_number() -> None:
    one, two = Sum(), Sum()
    assert str(one).startswith("Sum-")
    assert str(one) != str(two)
    assert str(one) == str(one)


def test_what_a_service_must_define_is_said() -> None:
    with pytest.raises(NotImplementedError, match=r"Service does not define run\(handler\)"):
        Service().run(None)
    with pytest.raises(NotImplementedError, match=r"does not define restore\(state\)"):
        Service().restore(1)
    assert (Service().progress(), Service().checkpoint()) == (None, None)


def test_a_service_without_version_is_told_to_have_one() -> None:
    class Bad(Service):
        pass

    with pytest.raises(AttributeError, match=r"^Request does not define the version: class .*Bad has no version") as e:
        Bad.request(n=1).__getstate__()
    assert str(e.value).endswith("add version = '1.0'")


def test_a_version_may_be_given_to_the_request_itself() -> None:
    class Bad(Service):
        pass

    late = Bad.request(n=1)
    late.version = "1.0"
    assert late.__getstate__()["version"] == "1.0"


def test_who_submits_a_request_without_version_is_told_what_to_add() -> None:
    class Bad(Service):
        pass

    with Client() as client, pytest.raises(AttributeError, match=r"has no version: add version = '1\.0'"):
        client.submit(Bad.request(n=1), Bad)


def test_a_request_is_made_for_a_class_not_for_an_object() -> None:
    with pytest.raises(TypeError, match="made for a service's class, such as Sum"):
        request(Sum(), values=[1])  # type: ignore[arg-type]
