"""Arguments of pools and masters: each check names the argument and says what is expected."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from tracking.errors import InputError, UnknownHost
from tracking.fabrics.registry import Fabrics
from tracking.fabrics.settings import bytes_in
from tracking.slave.loading import is_loading_code

LEAST_MEMORY_BYTES = 64_000_000


def check_not_loading() -> None:
    """Refuse to start slaves where a slave loads the code for its work: they would do the same, and so on for ever."""
    if is_loading_code():
        raise InputError(
            "a slave has loaded code that starts a calculation at its top level: "
            "put that part under if __name__ == '__main__', or the slave's part into a file of its own"
        )


def checked_hosts(hosts: object, fabrics: Fabrics) -> list[str]:
    """The host names, one a slave; none given: those that the fabric chooses, or this machine, once for each core.

    A whole number n means n slaves, wherever the fabric has them; a string is one host; ``name*n`` is a host n times;
    ``{'host': ...}`` entries, as they stand in a master's ``hosts``, are taken by their host.

    Raises:
        InputError: says what is wrong with which of them.
        EngineError: what is to start slaves cannot be used here.
    """
    if isinstance(hosts, int) and not isinstance(hosts, bool):
        if hosts < 1:
            raise InputError(f"hosts as a number is how many slaves to start: at least 1, not {hosts}")
        return fabrics.hosts_for(hosts)
    if not isinstance(hosts, Iterable):
        raise InputError(f"hosts must be a list of host names, or a whole number of slaves; not {hosts!r}")
    names = host_names(hosts)
    if not names:
        return fabrics.hosts_for(None)
    unknown: list[UnknownHost] = []
    for name in dict.fromkeys(names):
        if not name.strip():
            raise InputError(f"host {name!r} is no host name")
        try:
            fabrics.check_host(name)
        except UnknownHost as error:
            unknown.append(error)
    if len(unknown) == len(set(names)):
        raise unknown[0]
    return names  # what some of them lack is told when hosts are tried: the others can work


def host_names(hosts: object) -> list[str]:
    """The names in what was given as ``hosts``, one a slave, whether there are such hosts or not."""
    if isinstance(hosts, str):
        return repeated_host(hosts)
    if isinstance(hosts, Iterable):
        return [name for host in hosts for name in repeated_host(_host_name(host))]
    raise InputError(f"hosts must be a list of host names, not {hosts!r}")


def repeated_host(entry: str) -> list[str]:
    """``name*n`` as n times the name; a name alone once.

    Raises:
        InputError: it is neither.
    """
    if "," in entry:
        raise InputError(f"{entry!r} is no host name: give a list, {[name.strip() for name in entry.split(',')]!r}")
    name, star, count = entry.partition("*")
    if not name or (star and not (count.isascii() and count.isdigit() and int(count))):
        raise InputError(f"host {entry!r} is no host name: write 'name', or 'name*n' for n slaves there")
    return [name] * (int(count) if star else 1)


def _host_name(host: object) -> str:
    if isinstance(host, Mapping):
        host = host.get("host")
    if not isinstance(host, str):
        raise InputError(f"a host must be given by its name, not as {host!r}")
    return host


def checked_niceness(niceness: object, of_file: Mapping[str, int] = MappingProxyType({})) -> dict[str, int]:
    """{host: nice value}; a number alone holds for all hosts, but those of which a hosts file says another."""
    if isinstance(niceness, int) and not isinstance(niceness, bool):
        return {**of_file, "default": niceness}
    if not isinstance(niceness, Mapping):
        raise InputError(f"niceness must be a number, or a dict {{host: nice value, 'default': n}}; not {niceness!r}")
    for host, value in niceness.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise InputError(f"niceness of {host!r} must be a whole number, not {value!r}")
    return {**of_file, **niceness}


def check_makes(name: str, make: object) -> None:
    """Refuse the object itself in place of what makes one on each slave."""
    if not callable(make):
        raise InputError(
            f"{name} must be a function without arguments, called once on each slave, not what it gives, "
            f"of type {type(make).__name__}; for an object of yours: {name}=lambda: it"
        )


def checked_number(
    name: str, value: Any, least: float, *, is_optional: bool = False, is_whole: bool = False
) -> Any:
    if value is None and is_optional:
        return None
    kinds = (int,) if is_whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not value >= least:
        kind = "a whole number" if is_whole else "a number"
        raise InputError(
            f"{name} must be {kind}, at least {least:g}{', or None' if is_optional else ''}; not {value!r}"
        )
    return value


def checked_bytes(name: str, value: Any) -> int | None:
    """A number of bytes; also in words.

    >>> checked_bytes("memory_limit", "1.5 GB"), checked_bytes("memory_limit", None)
    (1500000000, None)
    """
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    n_bytes = bytes_in(value) if isinstance(value, str) else None
    if not n_bytes:
        raise InputError(f"{name} must be a number of bytes such as 2000000000, '2GB' or '512 MiB'; not {value!r}")
    return n_bytes


def checked_memory_limit(value: Any) -> int | None:
    """Bytes that a slave may hold: not fewer than one needs that does nothing."""
    limit = checked_bytes("memory_limit", value)
    if limit is not None and limit < LEAST_MEMORY_BYTES:
        raise InputError(
            f"memory_limit of {value!r} is too low: a slave with nothing to do needs about 50 MB; "
            f"give at least {LEAST_MEMORY_BYTES // 10**6} MB"
        )
    return limit


def checked_output(output: Any) -> Any:
    """A path, one for each slave, or None."""
    if output is None or (isinstance(output, str) and output):
        return output
    if isinstance(output, Sequence) and not isinstance(output, str) and all(isinstance(one, str) for one in output):
        return output
    raise InputError(f"output must be a path, a path for each slave, or None; not {output!r}")


def check_one_each(name: str, values: Sequence[str] | None, count: int) -> None:
    """So many values as slaves, if there are any."""
    if values is not None and (isinstance(values, str) or len(values) != count):
        raise InputError(f"{name} must be one for each of {count} slaves, not {values!r}")


def working_directory() -> str:
    """The directory in which slaves are to work: that of this program.

    Raises:
        InputError: it was deleted; names it.
    """
    try:
        return os.getcwd()
    except FileNotFoundError as error:
        try:
            name = os.readlink("/proc/self/cwd").removesuffix(" (deleted)")
        except OSError:
            name = os.environ.get("PWD", "whose name is not known any more")
        raise InputError(
            f"the working directory of this program ({name}) was deleted, and slaves would work there: "
            "change to one that exists, with os.chdir, before calculating"
        ) from error


def check_own_process(pid: int) -> None:
    """Refuse to use, in a forked child, slaves whose lines and threads belong to its parent.

    Args:
        pid: of the process that has made the pool.
    """
    if os.getpid() != pid:
        raise InputError(
            f"this pool was made in another process ({pid}), from which this one ({os.getpid()}) was forked: "
            "make a new one after the fork"
        )


def checked_choice(name: str, value: Any, choices: tuple[str, ...]) -> Any:
    if value not in choices:
        raise InputError(f"{name} must be one of {', '.join(map(repr, choices))}; not {value!r}")
    return value
