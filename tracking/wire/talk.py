"""Reads what the other end of a relay's line says: words with fields, each of which must be what it should be.

What it says is JSON that anybody could have written who has got at the other end: nothing of it is trusted, and what
is wrong is a ProtocolError that names the field and shows nothing that came.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tracking.errors import ProtocolError

LAST_TID: Final = (1 << 30) - 2  # four streams each, numbered in 32 bits
MOST_CHARACTERS: Final = 4096
LONGEST_S: Final = 1e10


def number(what: Mapping[str, Any], name: str, least: int, most: int) -> int:
    """A whole number in these bounds."""
    value = what.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ProtocolError(f"{name!r} is no whole number from {least} to {most}")
    return value


def number_or_none(what: Mapping[str, Any], name: str, least: int, most: int) -> int | None:
    """The same, or None: there is none."""
    return None if what.get(name) is None else number(what, name, least, most)


def seconds(what: Mapping[str, Any], name: str, least: float) -> float:
    """So many seconds: finite."""
    value = what.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= LONGEST_S:
        return float(value)
    raise ProtocolError(f"{name!r} is no time of {least:g} s or more")


def seconds_or_none(what: Mapping[str, Any], name: str, least: float) -> float | None:
    """The same, or None: there are none."""
    return None if what.get(name) is None else seconds(what, name, least)


def text(what: Mapping[str, Any], name: str) -> str:
    """A text that is not too long."""
    value = what.get(name)
    if not isinstance(value, str) or len(value) > MOST_CHARACTERS or not _is_encodable(value):
        raise ProtocolError(f"{name!r} is no text of at most {MOST_CHARACTERS} characters")
    return value


def _is_encodable(text: str) -> bool:
    """Half a character, which JSON can hold, can be neither shown nor written to a file."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def texts(what: Mapping[str, Any], name: str) -> list[str]:
    """A list of texts."""
    values = what.get(name)
    if not isinstance(values, list):
        raise ProtocolError(f"{name!r} is no list")
    return [text({name: value}, name) for value in values]
