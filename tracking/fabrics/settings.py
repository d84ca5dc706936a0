"""What one host needs that others do not: which Python, where, in what environment, and how much of it is ours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from tracking.errors import InputError
from tracking.slave.cores import EACH, cpus_in

HostKind = Literal["own", "shared", "other"]
KINDS: tuple[HostKind, ...] = ("own", "shared", "other")

_UNITS = {
    "": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40
}
_BYTES = re.compile(r"\s*(\d+(?:\.\d*)?)\s*([kmgt]?i?)b?\s*", re.IGNORECASE)


def bytes_in(text: str) -> int | None:
    """A number of bytes in words; None: it is none.

    >>> bytes_in("1.5 GB"), bytes_in("512MiB"), bytes_in("much")
    (1500000000, 536870912, None)
    """
    match = _BYTES.fullmatch(text)
    return None if match is None else int(float(match[1]) * _UNITS[match[2].lower()])


def checked_affinity(name: str, value: Any) -> str:
    """What CPUs slaves may use, as one text.

    >>> checked_affinity("affinity", ["0-3", {4, 5}, 6])
    '0-3 4,5 6'
    """
    if value is None or value == EACH:
        return value or ""
    try:
        sets = value.split() if isinstance(value, str) else [_cpu_set(one) for one in value]
        if sets and all(map(cpus_in, sets)):
            return " ".join(sets)
    except (TypeError, ValueError):
        pass
    raise InputError(
        f"{name} must be 'each', a set of CPUs such as '0-3,8', or a list of sets for the slaves in turn; not {value!r}"
    )


def _cpu_set(one: object) -> str:
    if isinstance(one, Iterable) and not isinstance(one, str):
        return ",".join(str(cpu) for cpu in sorted(one))
    return str(one)


class HostSettings(NamedTuple):
    """How slaves are started on one host; what is None is left to the fabric.

    Example:
        >>> HostSettings(python="/opt/py/bin/python3", environment={"OMP_NUM_THREADS": "1"}).directory is None
        True

    Attributes:
        python: the interpreter there, a path or a name that is looked up there.
        directory: where slaves work there, a path from the root, or from the home there; None: in the
            master's directory if it is there, else at home.
        environment: variables that slaves have there, besides those that they find.
        niceness: nice value of slaves there.
        slots: how many slaves fit there.
        kind: 'own' (mine alone), 'shared' (others work there, too), 'other' (only while nobody else needs it).
        ram_bytes: memory of the host.
        prelude: text for a POSIX shell that is run there before Python ("module load x"); it has nothing to read.
        wrapper: words of that shell which come before Python in its command line ("nice-env.sh").
        threads: so many threads the libraries of a slave start there; 0: what they choose themselves.
        affinity: CPUs of slaves there: 'each' has its own, '0-3', or '0-3 4-7' for the slaves in turn; '': all.
    """

    python: str | None = None
    directory: str | None = None
    environment: Mapping[str, str] = MappingProxyType({})
    niceness: int | None = None
    slots: int | None = None
    kind: HostKind | None = None
    ram_bytes: int | None = None
    prelude: str = ""
    wrapper: str = ""
    threads: int | None = None
    affinity: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """{field: value}, which can be pickled."""
        return self._asdict() | {"environment": dict(self.environment)}

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickling and copying, which the empty environment of the default cannot take part in."""
        return type(self)._make, (tuple(self.as_dict().values()),)
