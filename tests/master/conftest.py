"""Slaves that are there for a whole module of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tracking import SlavePool


@pytest.fixture(scope="module")
def pool() -> Iterator[SlavePool]:
    """Two slaves. Of module scope, so that they are there before a test begins, and no leak."""
    with SlavePool(2) as pool:
        yield pool
