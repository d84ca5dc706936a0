"""Where ids are in their order: a range of ids needs no dict."""

from __future__ import annotations

from typing import Any

import pytest

from tracking.master.places import RangePlaces, places_of


@pytest.mark.parametrize("ids", [range(5), range(7, 1000), range(10, 0, -3), list(range(3, 400)), ["a", 2], []])
def test_each_id_has_its_place(ids: Any) -> None:
    places = places_of(ids)
    assert dict(places) == {id: place for place, id in enumerate(ids)}
    assert len(places) == len(ids)


def test_ids_one_after_the_other_are_found_without_a_dict() -> None:
    assert isinstance(places_of(list(range(5, 500))), RangePlaces)
    assert isinstance(places_of([*range(5, 500), 501]), dict)
    assert isinstance(places_of([*range(5, 50), 51, 50, *range(52, 500)]), dict)


def test_what_equals_an_id_has_its_place_as_in_a_dict() -> None:
    class Number:
        def __index__(self) -> int:
            return 3

    places = places_of(range(5))
    assert [places[id] for id in (3, 3.0, True, Number())] == [3, 3, 1, 3]


@pytest.mark.parametrize("id", [5, -1, 1.5, "a", None, (), float("nan"), float("inf")])
def test_what_is_no_id_has_none(id: object) -> None:
    places = places_of(range(5))
    assert id not in places
    with pytest.raises(KeyError):
        places[id]
