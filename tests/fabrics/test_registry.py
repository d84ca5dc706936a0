"""Fabrics by name."""

from __future__ import annotations

import pytest

from tracking import InputError
from tracking.fabrics.local import LocalFabric
from tracking.fabrics.registry import make_fabric


def test_a_fabric_is_made_by_its_name() -> None:
    assert isinstance(make_fabric("local"), LocalFabric)


def test_a_fabric_object_is_taken_as_it_is() -> None:
    fabric = LocalFabric()
    assert make_fabric(fabric) is fabric


def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InputError, match=r"there is no fabric 'locall'; there are: .*local"):
        make_fabric("locall")


def test_something_else_is_refused() -> None:
    with pytest.raises(InputError, match="fabric must be a name or a fabric object, not of type int"):
        make_fabric(3)  # type: ignore[arg-type]
