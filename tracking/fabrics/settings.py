"""What one host needs that others do not: which Python, where, in what environment, and how much of it is ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

HostKind = Literal["own", "shared", "other"]


@dataclass(frozen=True, slots=True)
class HostSettings:
    """How slaves are started on one host; what is None is left to the fabric.

    Example:
        >>> HostSettings(python="/opt/py/bin/python3", environment={"OMP_NUM_THREADS": "1"}).directory is None
        True

    Attributes:
        python: the interpreter there, a path or a name that is looked up there.
        directory: where slaves work there; None: in the master's directory if it is there, else at home.
        environment: variables that slaves have there, besides those that they find.
        niceness: nice value of slaves there.
        slots: how many slaves fit there.
        kind: 'own' (mine alone), 'shared' (others work there, too), 'other' (only while nobody else needs it).
        ram_bytes: memory of the host.
    """

    python: str | None = None
    directory: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    niceness: int | None = None
    slots: int | None = None
    kind: HostKind | None = None
    ram_bytes: int | None = None
