"""What a request needs to be installed: ``request.requires = ['numpy', 'scipy>=1.9']``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import metadata

from tracking.errors import InputError
from tracking.service.versions import is_newer


def installed(name: str) -> str | None:
    """The version of an installed package, None if it is not there."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def check_requires(requires: Iterable[str], version_of: Callable[[str], str | None] = installed) -> None:
    """Refuse what cannot work here.

    Args:
        requires: names of packages, each perhaps with its least version: 'scipy>=1.9'.
        version_of: gives the version that is there.

    Raises:
        InputError: names all that are missing or too old.
    """
    problems = []
    for entry in [requires] if isinstance(requires, str) else requires:
        name, _, least = (part.strip() for part in entry.partition(">="))
        found = version_of(name)
        if found is None:
            problems.append(f"{entry} (not installed)")
        elif least and is_newer(least, found):
            problems.append(f"{entry} (it is {found} here)")
    if problems:
        raise InputError(f"the request requires {', '.join(problems)}: install these where the service runs")
