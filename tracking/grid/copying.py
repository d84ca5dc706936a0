"""Which files are copied to hosts, and how: as a tar over ssh, whatever their names; no shell sees one of them."""

from __future__ import annotations

import fnmatch
import io
import os
import shlex
import shutil
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence

from tracking.errors import EngineError, InputError
from tracking.fabrics.commands import Command

Run = Callable[[str, str, bytes], Command]
"""Begins to run a shell text on a host, with these bytes to read."""


def select(rootdir: str, filelist: Iterable[str], exclude: Sequence[str]) -> dict[str, list[str]]:
    """The files that are meant: {folder below rootdir: paths below rootdir}, each once, sorted.

    Of an entry 'folder/pattern' those are meant which lie in that folder, or anywhere below it, and whose own name
    fits the pattern; without a folder, those anywhere in rootdir. Nothing fits: nothing is meant.

    Args:
        rootdir: a path, from the root or from the working directory, which is not changed.
        filelist: entries.
        exclude: files in whose whole path one of these texts occurs are left out.

    Raises:
        OSError: rootdir is no directory.
        InputError: an entry leads out of rootdir.
    """
    if isinstance(filelist, str):
        raise InputError(f"filelist must be a list of files, not {filelist!r}: give [{filelist!r}]")
    root = os.path.abspath(os.path.expanduser(rootdir))
    os.listdir(root)  # OSError, if there is no such directory
    found: dict[str, set[str]] = {}
    for entry in filelist:
        folder, pattern = os.path.split(entry)
        if os.path.isabs(folder) or os.path.normpath(folder or ".").split(os.sep)[0] == os.pardir:
            raise InputError(f"{entry!r} leads out of {rootdir!r}: name files below it")
        for walked, _, names in os.walk(os.path.join(root, folder)):
            below = os.path.relpath(walked, root)
            for name in fnmatch.filter(names, pattern):
                if not any(text in os.path.join(walked, name) for text in exclude):
                    found.setdefault(below, set()).add(os.path.normpath(os.path.join(below, name)))
    return {folder: sorted(paths) for folder, paths in sorted(found.items())}


def copy_here(rootdir: str, files: Mapping[str, Sequence[str]], target: str) -> None:
    """Copy them into a folder of this machine, which is made where it is not there."""
    for folder, paths in files.items():
        os.makedirs(os.path.normpath(os.path.join(target, folder)), exist_ok=True)
        for path in paths:
            source, copy = os.path.join(rootdir, path), os.path.join(target, path)
            if not (os.path.exists(copy) and os.path.samefile(source, copy)):
                shutil.copy2(source, copy)


def packed(rootdir: str, files: Mapping[str, Sequence[str]]) -> bytes:
    """They as a tar; links as what they lead to."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", dereference=True, format=tarfile.GNU_FORMAT) as archive:
        for paths in files.values():
            for path in paths:
                archive.add(os.path.join(rootdir, path), arcname=os.path.join(".", path), recursive=False)
    return data.getvalue()


def unpacking(target: str) -> str:
    """Shell text that makes a folder, and unpacks there the tar that it reads."""
    folder = shlex.quote(target)
    return f"mkdir -p -- {folder} && tar -xpf - -C {folder}"


def making(target: str) -> str:
    """Shell text that makes a folder."""
    return f"mkdir -p -- {shlex.quote(target)}"


def run_everywhere(run: Run, texts: Mapping[str, str], data: bytes = b"") -> dict[str, str]:
    """Run a text on each host, on all at once: {host: what went wrong there}.

    Args:
        run: begins one.
        texts: {host: shell text}.
        data: what they read.
    """
    problems: dict[str, str] = {}
    commands: dict[str, Command] = {}
    for host, text in texts.items():
        try:
            commands[host] = run(host, text, data)
        except (OSError, EngineError, InputError) as error:
            problems[host] = str(error)
    for host, command in commands.items():
        outcome = command.wait()
        if not outcome.is_good:
            problems[host] = outcome.complaint
    return {host: problems[host] for host in texts if host in problems}
