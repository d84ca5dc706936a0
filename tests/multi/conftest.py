"""Processors that are ended, and the box and the verbosity as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.multi.commands import Kept
from tracking.multi import Processor_box, Verbosity, load_multiprocessor


@pytest.fixture(autouse=True)
def nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("TRACKING_MULTI_RUN_FILE", raising=False)
    monkeypatch.delenv("TRACKING_MULTI_LIVE", raising=False)
    yield
    Verbosity().set(0)
    box = Processor_box()
    box.processor = box.processor_name = box.class_name = None


@pytest.fixture
def load() -> Iterator[Callable[..., Any]]:
    """Loads processors, silent ones if nothing else is said, and ends their slaves."""
    loaded = []

    def load(name: Any = "local", size: int = 2, callback: Any = None, verbosity: int = 0, **options: Any) -> Any:
        loaded.append(load_multiprocessor(name, callback, size, verbosity, **options))
        return loaded[-1]

    yield load
    for processor in loaded:
        processor._end_slaves()


@pytest.fixture
def processor(load: Callable[..., Any]) -> Any:
    """Two slaves on this machine."""
    return load()


@pytest.fixture(params=["uni", "local"])
def either(request: pytest.FixtureRequest, load: Callable[..., Any]) -> Any:
    """A processor of each kind."""
    return load(request.param, 1)


@pytest.fixture
def memo() -> Kept:
    return Kept()
