"""The restart file: one pickled dict, replaced as a whole or not at all.

::

    8 bytes  'TRKRST\\r\\n'     4 bytes  version     8 bytes  length     4 bytes  CRC-32     the pickle

so that a file that was cut short or damaged is known before anything of it is unpickled. The line end
in the mark shows a copy that was made as text.
"""

from __future__ import annotations

import os
import struct
import tempfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from tracking.errors import StoreError
from tracking.store.pickling import from_bytes, to_bytes
from tracking.store.refusals import refusal, refuse_foreign

KIND = "restart file"
MARK = b"TRKRST\r\n"
VERSION = 1
_HEADER = struct.Struct(">8sIQI")


def save(path: str | os.PathLike[str], rst: Mapping[str, Any]) -> None:
    """Write a restart file, readable by its owner only. An older one stays until the new one is whole.

    Args:
        path: of the file.
        rst: what ``getRst`` gave.

    Raises:
        EncodeError: something in it cannot be pickled; names which.
        StoreError: the file cannot be written; the older one is as it was.
    """
    data = to_bytes(dict(rst), "the restart data")
    header = _HEADER.pack(MARK, VERSION, len(data), zlib.crc32(data))
    real = Path(os.path.realpath(path))
    try:
        _replace(real, header, data)
    except OSError as exc:
        raise refusal(KIND, real, exc) from exc


def load(path: str | os.PathLike[str], *, trust: bool = False) -> dict[str, Any]:
    """Read a restart file.

    Args:
        path: of the file.
        trust: accept a file that another user owns or may write.

    Raises:
        StoreError: it is missing, none, cut short, damaged, of a newer version, or not to be trusted.
    """
    real = Path(os.path.realpath(path))
    try:
        with open(real, "rb", opener=_without_waiting) as file:
            refuse_foreign(KIND, real, os.fstat(file.fileno()), trust=trust)
            data = _read(file, real)
    except StoreError:
        raise
    except OSError as exc:
        raise refusal(KIND, real, exc) from exc
    rst = from_bytes(data, f"{KIND} {real}")
    if not isinstance(rst, dict):
        raise StoreError(f"{KIND} {real} holds no restart data but a {type(rst).__name__}")
    return rst


def _without_waiting(path: str, flags: int) -> int:
    # A named pipe, put there instead of a file, would hold us up for ever.
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _replace(path: Path, *parts: bytes) -> None:
    # os.replace would say so too, but only after all was written.
    if path.is_dir():
        raise IsADirectoryError(21, "is a directory")
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    _flush_directory(path.parent)


def _flush_directory(directory: Path) -> None:
    # The new name must outlive a power cut as well; some network file systems cannot promise that.
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _read(file: BinaryIO, path: Path) -> bytes:
    header = file.read(_HEADER.size)
    if header[: len(MARK)] != MARK[: len(header)] or not header:
        raise StoreError(f"{path} is no {KIND}; give the name of a file that saveRst has written")
    if len(header) < _HEADER.size:
        raise StoreError(f"{KIND} {path} was cut short: it ends within its header; take an older copy")
    _, version, length, checksum = _HEADER.unpack(header)
    if version > VERSION:
        raise StoreError(
            f"{KIND} {path} was written by a newer version of this package "
            f"(format {version}, known up to {VERSION}); update the package"
        )
    return _checked(file.read(), length, checksum, path)


def _checked(data: bytes, length: int, checksum: int, path: Path) -> bytes:
    if len(data) < length:
        raise StoreError(
            f"{KIND} {path} was cut short: it has {len(data)} bytes of {length}; take an older copy"
        )
    if len(data) > length or zlib.crc32(data) != checksum:
        raise StoreError(f"{KIND} {path} is damaged: its checksum does not fit; take an older copy")
    return data
