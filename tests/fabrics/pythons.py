"""Pythons for tests that are other than the one that runs them."""

from __future__ import annotations

import sys
from pathlib import Path


def bare_python(folder: Path) -> str:
    """A Python without any packages, and without ours."""
    return _script(folder / "bare-python", f'exec {sys.executable} -I -S "$@"')


def old_python(folder: Path, version: tuple[int, int, int]) -> str:
    """A Python that says it is of this version."""
    code = f"import sys; sys.version_info = {version!r}; sys.argv = sys.argv[1:]; exec(sys.argv[0])"
    return _script(folder / "old-python", f"shift; exec {sys.executable} -c '{code}' \"$@\"")


def _script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)
