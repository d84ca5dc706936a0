"""Hosts that are asked for or not wanted any more: which there are; those that fail are told, and left out."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

from tracking.errors import InputError, NoSlavesError
from tracking.fabrics.hosts_file import expand
from tracking.fabrics.registry import Fabrics
from tracking.pool.arguments import checked_hosts, host_names

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


def more_hosts(
    hosts: object, fabrics: Fabrics, niceness: dict[str, int], *, check: bool
) -> tuple[list[str], dict[str, str]]:
    """Names of the hosts meant, one a slave, and {host: why no slave can be started there} of those that fail.

    Args:
        hosts: as for a pool or master; an empty list means none.
        fabrics: those of the hosts there are; told what a hosts file says of the new ones.
        niceness: the same.
        check: try them first; else all count as good.

    Raises:
        InputError, EngineError: nothing can be started on one of them.
        NoSlavesError: all of them fail.
    """
    expanded = expand(hosts)
    if not isinstance(expanded.hosts, int) and not host_names(expanded.hosts):
        return [], {}
    fabrics.settings.update(expanded.settings)
    for host, nice in expanded.niceness.items():
        niceness.setdefault(host, nice)
    names = checked_hosts(expanded.hosts, fabrics)
    return names, without_failing(names, fabrics)[1] if check else {}


def known_hosts(hosts: object, there_are: Iterable[str]) -> frozenset[str]:
    """The names of hosts to be removed, once each.

    Raises:
        InputError: there is no such host; names those that there are.
    """
    names, known = host_names(expand(hosts).hosts), list(dict.fromkeys(there_are))
    for name in names:
        if name not in known:
            raise InputError(f"there is no host {name!r} here; there are: {', '.join(known) or 'none'}")
    return frozenset(names)
