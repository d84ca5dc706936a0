"""What a slave says first is understood, or refused in words that help."""

from __future__ import annotations

from typing import Any

import pytest

from tracking.errors import ProtocolError
from tracking.wire import messages as m


def test_a_greeting_tells_the_process() -> None:
    assert m.read_hello((m.HELLO, 0, m.PROTOCOL_VERSION, 4711), "slave node_1") == 4711


@pytest.mark.parametrize("rest", [(4711,), (), (4711, "and more")])
def test_another_version_is_said_whatever_else_its_greeting_holds(rest: tuple[Any, ...]) -> None:
    with pytest.raises(m.WrongVersion, match=r"slave node_1 speaks version 99 of the protocol, we speak \d+: install"):
        m.read_hello((m.HELLO, 0, 99, *rest), "slave node_1")


@pytest.mark.parametrize(
    "message",
    [
        (m.HELLO, 0),
        (m.HELLO, 0, "1", 2),
        (m.HELLO, 0, m.PROTOCOL_VERSION),
        (m.HELLO, 0, m.PROTOCOL_VERSION, "x"),
        (m.HELLO, 0, True, 2),
    ],
)
def test_what_is_no_greeting_is_refused(message: tuple[Any, ...]) -> None:
    with pytest.raises(ProtocolError, match="slave node_1 said what is no greeting"):
        m.read_hello(message, "slave node_1")
