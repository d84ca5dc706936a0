"""Hosts that were found to fail, before any slave was started there: told, and left out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from tracking.errors import NoSlavesError
from tracking.fabrics.registry import Fabrics

logger = logging.getLogger("tracking")


def without_failing(names: Sequence[str], fabrics: Fabrics) -> tuple[list[str], dict[str, str]]:
    """The names of hosts on which slaves can be started, and {host: why they cannot} of the others, which are told.

    Raises:
        NoSlavesError: there is none of the first; names every host with its reason.
    """
    failed = fabrics.check(names)
    left = [name for name in names if name not in failed]
    tell_left_out(failed, is_any_left=bool(left) or not names)
    return left, failed


def tell_left_out(failed: Mapping[str, str], *, is_any_left: bool) -> None:
    """Name all hosts that fail, with the reasons.

    Raises:
        NoSlavesError: no other host is left.
    """
    reasons = "; ".join(f"{host}: {reason}" for host, reason in failed.items())
    if not is_any_left:
        raise NoSlavesError(f"no slave can be started on any host: {reasons or 'there is none'}")
    if failed:
        count = "1 host is" if len(failed) == 1 else f"{len(failed)} hosts are"
        logger.warning("%s left out: %s", count, reasons)
