"""Processes for slave kinds of one's own: in the background, with their output in a file."""

from __future__ import annotations

import os
import subprocess


def _run_background(cmdline: str, out: str) -> subprocess.Popen[bytes]:
    """Start a command of a shell, its output and errors appended to a file; it is in a process group of its own.

    Args:
        cmdline: text for /bin/sh.
        out: path of the file.

    Raises:
        OSError: the file cannot be written, or no process started.
    """
    with open(out, "ab") as file, open(os.devnull, "rb") as nothing:
        return subprocess.Popen(
            ["/bin/sh", "-c", cmdline], stdin=nothing, stdout=file, stderr=file, start_new_session=True
        )


def run_with_input(cmdline: str, text: str) -> str:
    """Run a command of a shell with this on its stdin, and wait for its end; what it said.

    Raises:
        OSError: it ended with another status than 0; says which, and its words.
    """
    done = subprocess.run(["/bin/sh", "-c", cmdline], input=text.encode(), capture_output=True, check=False)
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip()).decode(errors="replace")
        raise OSError(f"Process failed with exit status {done.returncode}" + (f": {words}" if words else ""))
    return done.stdout.decode(errors="replace")
