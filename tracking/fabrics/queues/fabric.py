"""The fabric of every queueing system: what its users say is in its engine."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tracking.errors import InputError
from tracking.fabrics.queues.engine import Engine
from tracking.fabrics.queues.launcher import QueuedLauncher
from tracking.fabrics.reception import Reception
from tracking.fabrics.relayed import RelayedFabric
from tracking.wire.keys import Key


class QueuedFabric(RelayedFabric):
    """Slaves that a queueing system starts.

    Args:
        engine: which, and how.
        n: how many slaves; None: as many as could run at once, at most 32.
        files, start_timeout: as for ``QueuedLauncher``.
        address, port, reachable_as, is_encrypted: as for ``Reception``.

    Raises:
        InputError: an argument that cannot be.
        EngineError: what is needed for encryption is not installed.
    """

    launcher: QueuedLauncher

    def __init__(
        self,
        engine: Engine,
        n: int | None,
        *,
        files: str | os.PathLike[str] | None,
        address: str,
        port: int | tuple[int, int],
        reachable_as: Sequence[str],
        is_encrypted: bool,
        start_timeout: float | None,
    ) -> None:
        if n is not None and (not isinstance(n, int) or isinstance(n, bool) or n < 1):
            raise InputError(f"n is how many slaves to start: at least 1, not {n!r}")
        reception = Reception(Key(), address=address, port=port, reachable_as=reachable_as, is_encrypted=is_encrypted)
        super().__init__(QueuedLauncher(engine, reception, count=n, files=files, start_timeout=start_timeout))

    def job_script(self) -> str:
        """The script that is submitted; without ``n`` it shows the most slaves that there would be."""
        return self.launcher.preview()
