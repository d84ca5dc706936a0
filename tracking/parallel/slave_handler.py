"""The program of a slave that was started by a command: ``python slave_handler.py TICKET UNIQUE_ID``.

It is started by its path, so that its command needs no quotes whatever shells it goes through, and uses the package
that it lies in. The ticket, a file that only its user can read, says where the manager is and holds the key; the id
says whose place this slave takes, and is of no use without the key.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


class _HeartBeatThread:
    """What was a thread on the slave. Its period is of no meaning any more: slaves answer when they are asked."""

    timeout = 300


def main(arguments: Sequence[str] | None = None) -> int:
    """Be a slave until the manager ends; the exit status."""
    from tracking.slave import relay

    ticket, unique_id = sys.argv[1:] if arguments is None else arguments
    return relay.main([ticket, unique_id.rpartition(":")[2]])


if __name__ == "__main__":
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    sys.path.insert(0, root)
    from tracking.slave import relay as _relay  # noqa: F401  (found in our own release, whatever is installed there)

    sys.path.remove(root)
    sys.exit(main())
