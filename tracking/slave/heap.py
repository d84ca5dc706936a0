"""Memory of large arrays that a slave has let go of is used again for the next ones.

An array of some MB is memory fresh from the system, which hands it out page by page, each filled with zeros: that
costs as much as copying it does. The C library learns to keep such memory, but gives back all of it as soon as two
arrays in a row are let go of, as the values and the result of a job are. So it is told how much to keep.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping

KEPT_BYTES = 64 << 20  # as much as glibc itself comes to keep at most
_LARGEST_KEPT_BYTES = 32 << 20  # beyond that it takes no other value
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def freed_keeper(environment: Mapping[str, str] = os.environ) -> Callable[[], None]:
    """What a process calls to keep so much of what it lets go of; nothing, where the user has told the C library so.

    It is made once, before processes are forked that call it: to look for the C library would cost each of them more
    than all the rest.
    """
    told = [name for name in environment if name.startswith("MALLOC_")]
    is_told = bool(told) or "malloc" in environment.get("GLIBC_TUNABLES", "")
    if is_told or sys.platform != "linux":
        return lambda: None
    import ctypes  # the parent of a slave has it already

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return lambda: None if mallopt is None else _keep_freed(mallopt)  # None: another C library


def _keep_freed(mallopt: Callable[[int, int], object]) -> None:
    mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
    mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
