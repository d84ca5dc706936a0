"""Slaves for the tests of services."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tracking import SlavePool


@pytest.fixture(scope="module")
def pool() -> Iterator[SlavePool]:
    """Two slaves, for tests that leave them alive: of module scope, for starting them takes most of the time."""
    with SlavePool(2) as pool:
        yield pool


@pytest.fixture
def own_pool() -> Iterator[SlavePool]:
    """Two slaves for one test, which may end them."""
    with SlavePool(2) as pool:
        yield pool
