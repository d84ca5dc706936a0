"""Fixtures for fabrics on real engines."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets variables by which an engine is reached."""

    def set_all(variables: dict[str, str]) -> dict[str, str]:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return variables

    return set_all
