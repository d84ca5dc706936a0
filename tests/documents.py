"""The code in README and docs, and where it is run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^(?:<!-- (\S[^\n]*?) -->\n)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_STARTER = '#!/bin/sh\nexec {python} -m tracking "$@"\n'


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        page: where it stands.
        line: its number there.
        mark: what the comment before it says ("test: slurm"); "": there is none.
        kind, code: what it is.
        output: what stands below it as printed; None: nothing.
    """

    page: str
    line: int
    mark: str
    kind: str
    code: str
    output: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(*pages: Path) -> Iterator[Block]:
    """All of these pages; of README and docs, if none is named."""
    for page in pages or PAGES:
        text = page.read_text()
        found = list(_BLOCK.finditer(text))
        for one, following in zip(found, [*found[1:], None], strict=True):
            mark, kind, code = one.groups()
            is_below = following is not None and not text[one.end() : following.start()].strip()
            output = following[3] if following is not None and is_below and following[2] == "text" else None
            yield Block(page.name, text.count("\n", 0, one.start()) + 1, mark or "", kind, code, output)


def marked(mark: str) -> list[Block]:
    """All with this mark."""
    return [block for block in blocks() if block.mark == mark]


def run(block: Block, folder: Path, *, limit_s: float = 50.0, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run it as its readers do, in this folder, where what it prints is compared with what the page says."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    starter = programs / "tracking"
    starter.write_text(_STARTER.format(python=sys.executable))
    starter.chmod(0o755)
    path = os.pathsep.join([str(programs), os.path.dirname(sys.executable), variables.pop("PATH", os.environ["PATH"])])
    modules = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    if block.kind == "python":
        (folder / "program.py").write_text(block.code)
        command = [sys.executable, "program.py"]
    else:
        command = ["bash", "-euo", "pipefail", "-c", block.code]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": modules, **variables, "PATH": path},
        capture_output=True,
        text=True,
        timeout=limit_s,
    )
    assert done.returncode == 0, f"{block}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
    if block.output is not None:
        assert done.stdout == block.output, f"{block}\n{done.stderr}"
    return done
