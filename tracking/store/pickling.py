"""Objects to bytes and back, for what is kept in files.

pickle first, because it is fast; then cloudpickle, which takes code by value; dill last, which takes
almost anything. All three are read back by ``pickle.loads``.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from tracking.errors import EncodeError, StoreError

PROTOCOL = 5


def to_bytes(obj: object, what: str) -> bytes:
    """Pickle an object, everything in one piece.

    Args:
        obj: what to pickle.
        what: its name for the error message, such as ``'the restart data'``.

    Raises:
        EncodeError: none of the three picklers can take it; the message names the part that is in the way.
    """
    reason = ""
    for dumps in (_plain, _cloud, _dill):
        try:
            return dumps(obj)
        except Exception as exc:  # noqa: BLE001 - a user's own __reduce__ may raise anything
            reason = reason or _describe(exc)
    raise EncodeError(f"{what}{_guilty_part(obj)} cannot be pickled: {reason}")


def from_bytes(data: bytes, what: str) -> Any:
    """Read back what ``to_bytes`` wrote. Only for data whose origin was checked.

    Raises:
        StoreError: it cannot be read back, mostly because the code that it refers to is not there.
    """
    try:
        return pickle.loads(data)
    except Exception as exc:
        hint = (
            "; it refers to things defined in the program that wrote it: read it from that program"
            if "__main__" in str(exc)
            else "; is the code that it was made with installed here, in the same version?"
        )
        raise StoreError(f"{what} cannot be read back: {_describe(exc)}{hint}") from exc


def _plain(obj: object) -> bytes:
    return pickle.dumps(obj, PROTOCOL)


def _cloud(obj: object) -> bytes:
    import cloudpickle  # type: ignore[import-untyped]

    data: bytes = cloudpickle.dumps(obj, PROTOCOL)
    return data


def _dill(obj: object) -> bytes:
    import dill  # type: ignore[import-untyped]

    data: bytes = dill.dumps(obj, PROTOCOL)
    return data


def _guilty_part(obj: object) -> str:
    if not isinstance(obj, dict):
        return ""
    for key, value in obj.items():
        if not any(_takes(dumps, value) for dumps in (_plain, _cloud, _dill)):
            return f"[{key!r}]"
    return ""


def _takes(dumps: Callable[[object], bytes], value: object) -> bool:
    try:
        dumps(value)
    except Exception:  # noqa: BLE001 - as in to_bytes
        return False
    return True


def _describe(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}"
