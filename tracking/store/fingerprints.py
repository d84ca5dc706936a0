"""What results were made with, as it is kept with each run: fingerprints of the code and of the items' values."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

from tracking.store.schema import printable


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """Of the code and of the values that results are made with.

    Attributes:
        code, values: '' if unknown; of all values together only in files of version 1.
        python: the version that the code was compiled for; the code of two versions cannot be compared. '' if unknown.
    """

    code: str
    values: str = ""
    python: str = sys.implementation.cache_tag or ""

    def to_text(self) -> str:
        """As it stands in the file; '' if nothing is known."""
        known = {"code": self.code, "values": self.values, "python": self.python}
        return printable(json.dumps(known)) if self.code or self.values else ""

    @staticmethod
    def from_text(text: str | None) -> Fingerprints:
        """What stands in a file; in files of the first days it is the code alone."""
        if not text or not text.startswith("{"):
            return Fingerprints(text or "", python="")
        known: dict[str, Any] = json.loads(text)
        return Fingerprints(*(str(known.get(name, "")) for name in ("code", "values", "python")))

    def has_other_code(self, other: Fingerprints) -> bool:
        """Whether the other's code is certainly another."""
        return _differ(self.code, other.code) and not _differ(self.python, other.python)

    def has_other_values(self, other: Fingerprints) -> bool:
        """Whether the other's values are certainly others."""
        return _differ(self.values, other.values)


def _differ(one: str, other: str) -> bool:
    return bool(one and other) and one != other
