"""How the command is written that starts a slave."""

from __future__ import annotations

import os
import shlex
import sys

from tracking.parallel import slave_handler


def slave_command(python: str | None, ticket: str) -> str:
    """Text for a shell: what starts a slave when its unique id is written behind.

    Args:
        python: text for a shell, of many words perhaps ("module load x; python3"); None: this Python.
        ticket: path of the file by which the slave finds its manager.
    """
    interpreter = shlex.quote(sys.executable) if python is None else python
    return f"{interpreter} -P {shlex.quote(os.path.abspath(slave_handler.__file__))} {shlex.quote(ticket)}"
