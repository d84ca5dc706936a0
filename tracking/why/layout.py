"""Times and columns, as the texts of this room show them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from tracking.report import duration, whole_seconds


def moment(at: float) -> str:
    """A moment as people here write it: '2026-11-21 09:12:03'."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def ago(at: float, now: float) -> str:
    """A moment and how long ago it was: '2026-11-21 09:12:03, 42 s ago'."""
    return f"{moment(at)}, {whole_seconds(now - at)} ago"


def later(seconds: float) -> str:
    """How much later something was than something else: '+1.20 s'."""
    return f"+{duration(max(0.0, seconds))}" if seconds >= 0.001 else "+0 s"


def columns(rows: Sequence[Sequence[str]], indent: str = "  ") -> list[str]:
    """Rows as aligned lines."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)) for row in rows)
    return [f"{indent}{line}".rstrip() for line in lines]


def counted(n: int, thing: str) -> str:
    """'1 item', '2 items'."""
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


def listed(words: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
