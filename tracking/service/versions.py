"""Versions of services, requests and states: what fits, what is newer, and how an old state is brought up. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tracking.errors import InputError

_MOST_STEPS = 1000


class VersionError(InputError):
    """A request or a state of a version that the service here cannot take.

    Attributes:
        found, expected: both versions.
    """

    def __init__(self, message: str, found: Any = None, expected: Any = None) -> None:
        super().__init__(message)
        self.found = found
        self.expected = expected


def is_newer(one: Any, other: Any) -> bool:
    """Whether version ``one`` is newer than ``other``: '1.10' than '1.9', '2.0' than '2.0rc1', 3 than 2.

    >>> is_newer("1.10", "1.9"), is_newer("2.0", "2.0rc1"), is_newer("1.0", "1.0")
    (True, True, False)
    """
    return _order(one) > _order(other)


def _order(version: Any) -> tuple[tuple[int, int, str], ...]:
    words = re.findall(r"\d+|[A-Za-z]+", str(version))
    parts = [(2, int(word), "") if word.isdigit() else (0, 0, word) for word in words]
    return (*parts, (1, 0, ""))  # the end stands between a further number and a letter, as in 2.0rc1 < 2.0 < 2.0.1


def check_request(service: Any, name: str, version: Any) -> None:
    """Refuse a request that the service does not accept.

    Raises:
        VersionError: names both versions.
    """
    if not service.accepts(version):
        raise VersionError(
            f"service {name} is of version {service.version}, the request of version {version}, which it does not "
            f"accept; make the request for {service.version}, or use the service that fits",
            version,
            service.version,
        )


def upgraded(state: Any, version: Any, name: str, expected: Any, step: Callable[[Any, Any], tuple[Any, Any]]) -> Any:
    """Bring a kept state up to the present version, step by step.

    Args:
        state: as it was kept.
        version: of the service that has kept it; None: not known, it is taken as it is.
        name: of the service.
        expected: its present version.
        step: from (state, version) to (state, a newer version): ``Service.upgrade``.

    Raises:
        VersionError: the state is newer than the service here, or no step leads to the present version.
    """
    if version is None:
        return state
    for _ in range(_MOST_STEPS):
        if version == expected:
            return state
        if is_newer(version, expected):
            raise VersionError(
                f"the state that was kept is of version {version} of service {name}, which is {expected} here: the "
                f"state is newer than the software; update the software, or begin anew with another run file",
                version,
                expected,
            )
        before = version
        state, version = step(state, before)
        if not is_newer(version, before):
            raise VersionError(
                f"upgrade() of service {name} leads from version {before} to {version}, which is not newer; it must "
                f"lead up to {expected}",
                before,
                expected,
            )
    raise VersionError(f"upgrade() of service {name} takes more than {_MOST_STEPS} steps", version, expected)
