"""What was the slave's end of the line: of it, one limit is left for programs that set it."""

from __future__ import annotations


class MasterCommunicator:
    """Attributes:
    connect_timeout: seconds for which a slave looked for its manager. It has no effect: a slave looks for a minute,
        and ends after ten seconds where nobody listens any more.
    """

    connect_timeout = 600
