"""Fingerprints of what makes results: the code that the slaves run, and the values of the items.

They agree between processes as long as the code and the values do, so a calculation that goes on from a run file can
tell whether its results still hold. When in doubt they agree: what cannot be told counts with the name of its type.
A code fingerprint is to be compared only with those of the same version of Python.

What counts of a function: its bytecode and constants, defaults, what it holds in its closure, and the globals that it
uses; of the user's functions, classes and objects among these the same again, of anything installed only the name.
What does not count: names of files, line numbers, comments and texts of docstrings; globals that the function itself
assigns. Of a slave script all bytes count, but not those of what it imports.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Hashable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracking.master.canonical import ATOMS, are_atoms, digest, digest_all
from tracking.master.code_digest import CodeDigests
from tracking.master.item_digest import item_digests
from tracking.master.lazy_mappings import LazyMapping

if TYPE_CHECKING:  # what goes into a run file can be told without the store
    from tracking.store.changes import Changes
    from tracking.store.run_file import RunFile

logger = logging.getLogger("tracking")


def code_fingerprint(function: object, slave_script: str | os.PathLike[str] | type) -> str:
    """The fingerprint of what the slaves do with items, a hex digest.

    Args:
        function: of one value; None if there is a slave script.
        slave_script: path of a script, or a ``JobSlave`` subclass.
    """
    if function is not None:
        return CodeDigests().digest(function).hex()
    if isinstance(slave_script, type):
        return CodeDigests().digest(slave_script).hex()
    try:
        return digest(Path(slave_script).read_bytes()).hex()
    except OSError:
        return ""


def fingerprint_with_values(code: str, data: Mapping[Any, Any]) -> str:
    """The fingerprint of the code that makes results and, where code makes their values, of that, too."""
    if not isinstance(data, LazyMapping) or not code:
        return code
    return digest([code, CodeDigests().digest(data.value)]).hex()


def data_fingerprint(data: Mapping[Any, Any], ids: Sequence[Hashable]) -> str:
    """The fingerprint of the values of these ids, in whatever order they come; a hex digest.

    It costs about as much as pickling them once. In a value that is a dict, or holds one, the order counts.

    Returns:
        '' if a value cannot be pickled, or ``data`` makes its values when they are asked for.
    """
    if not _is_plain(data):
        return ""
    try:
        return digest_all([data[id] for id in _in_fixed_order(ids)]).hex()
    except Exception:  # noqa: BLE001  (pickling runs the objects' own code, which may raise anything)
        return ""


class ItemDigests:
    """Gives the digests of items' values, as they are kept beside results.

    Args:
        data: {id: value}; if it makes its values when they are asked for, they are unknown.
    """

    def __init__(self, data: Mapping[Any, Any]) -> None:
        self._data = data
        self._is_known = _is_plain(data)

    def __call__(self, ids: Sequence[Hashable]) -> bytes | None:
        """The digests of the values of these ids, one after the other; None if they are unknown."""
        if not self._is_known:
            return None
        try:
            return item_digests(list(map(self._data.__getitem__, ids)))
        except KeyError:  # the user's own code has taken it out
            return None


def warn_of_changes(run_file: RunFile, path: str | os.PathLike[str], on_change: str = "keep") -> None:
    """Say which results of a run file were made with other code or other values, and what is done with them."""
    warn_of(run_file.changes, path, on_change)


def warn_of(changes: Changes, path: str | os.PathLike[str], on_change: str) -> None:
    """Say the same of these."""
    from tracking.store.changes import RECOMPUTE, made_with  # the store, with sqlite3, only where it is used

    n = changes.n
    if not n:
        return
    if on_change == RECOMPUTE:
        done = "it is computed anew" if n == 1 else "they are computed anew"
    else:
        done = (
            f"{'it is' if n == 1 else 'they are'} kept. on_change='recompute' computes {'it' if n == 1 else 'them'} "
            f"anew, on_change='refuse' would not begin"
        )
    logger.warning(
        "run file %s: %d result%s in it %s made with %s (item%s %s); %s.",
        os.fspath(path),
        n,
        "" if n == 1 else "s",
        "was" if n == 1 else "were",
        made_with(changes),
        "" if n == 1 else "s",
        changes.shown(),
        done,
    )


def _is_plain(data: Mapping[Any, Any]) -> bool:
    return isinstance(data, dict) and type(data).__getitem__ is dict.__getitem__


def _in_fixed_order(ids: Sequence[Hashable]) -> list[Any]:
    """Sorted the same way in every process, also if they cannot be compared with each other."""
    kinds = set(map(type, ids))
    unsorted: list[Any] = list(ids)
    if kinds in ({int}, {str}):
        return sorted(unsorted)
    if kinds <= ATOMS or (kinds == {tuple} and are_atoms(chain.from_iterable(unsorted))):
        return sorted(unsorted, key=repr)
    return sorted(unsorted, key=digest)
