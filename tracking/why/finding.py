"""The item that is meant by what was typed."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Sequence
from itertools import islice

from tracking.errors import InputError
from tracking.why.layout import listed

_MOST_COMPARED = 20_000
_MOST_SHOWN = 5


def find_id(ids: Sequence[Hashable], typed: str) -> Hashable:
    """The id whose repr was typed; else the one whose text was.

    So ``1`` is the number if there is one, else the text ``'1'``; with its quotes, ``'1'``, it is always the text.

    Raises:
        InputError: there is none, or more than one; names some that look like it.
    """
    for spelled in (repr, str):
        found = [id for id in ids if spelled(id) == typed]
        if len(found) == 1:
            return found[0]
        if found:
            shown = listed([f"{id!r} ({type(id).__name__})" for id in found[:_MOST_SHOWN]])
            raise InputError(f"{typed!r} may be several items: {shown}; write it as Python does, with quotes")
    raise InputError(f"there is no item {typed}{_near(ids, typed)}")


def _near(ids: Sequence[Hashable], typed: str) -> str:
    low = typed.strip("'\"").lower()
    alike = list(islice((id for id in ids if low and low in str(id).lower()), _MOST_SHOWN))
    if not alike:
        texts = {str(id): id for id in ids[:_MOST_COMPARED]}
        alike = [texts[text] for text in difflib.get_close_matches(low, texts, _MOST_SHOWN)]
    if alike:
        return f"; did you mean {listed([repr(id) for id in alike]).replace(' and ', ' or ')}?"
    examples = ", ".join(map(repr, ids[:3])) + (", ..." if len(ids) > 3 else "")
    return f"; the ids are {examples}" if ids else "; there are no items"
