"""How TCP lines are set up at both ends."""

from __future__ import annotations

import contextlib
import socket

_IDLE_S = 15  # after so long a silence the system asks whether the other end is still there
_ASK_AGAIN_S = 5
_UNANSWERED = 4  # then the line is cut


def tune(line: socket.socket) -> None:
    """No waiting for more bytes; and who is gone without a word, as a host cut off, is noticed within a minute.

    (No TCP_USER_TIMEOUT: it would also cut a line whose other end only computes for long and does not read.)
    """
    with contextlib.suppress(OSError):  # it may be gone already
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (
            ("TCP_KEEPIDLE", _IDLE_S), ("TCP_KEEPINTVL", _ASK_AGAIN_S), ("TCP_KEEPCNT", _UNANSWERED)
        ):  # fmt: skip
            if hasattr(socket, option):
                line.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
