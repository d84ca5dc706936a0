"""Reads molecular-dynamics files: windows of frames from a DCD trajectory, atom names from a PSF topology."""

from __future__ import annotations

import importlib.util
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

DATA_PACKAGE = "MDAnalysisTests"
HEADER_BYTES = 84
CELL_BYTES = 56  # the unit cell before each frame: six doubles between two length marks


@dataclass(frozen=True)
class DcdTrajectory:
    """The layout of a DCD file; coordinates are read window by window, never all at once."""

    path: Path
    first_frame_byte: int
    frame: np.dtype[np.void]

    @classmethod
    def open(cls, path: Path) -> DcdTrajectory:
        """Read the header of a little-endian DCD file in which all atoms move."""
        with path.open("rb") as file:
            length, magic, numbers = struct.unpack("<i4s80s4x", file.read(HEADER_BYTES + 8))
            if (length, magic) != (HEADER_BYTES, b"CORD"):
                raise ValueError(f"{path} is not a little-endian DCD trajectory")
            control = struct.unpack("<20i", numbers)
            if control[8]:
                raise ValueError(f"{path} has {control[8]} fixed atoms: frames differ in length")
            (title_bytes,) = struct.unpack("<i", file.read(4))
            file.seek(title_bytes + 4, 1)
            (n_atoms,) = struct.unpack("<4xi4x", file.read(12))
            return cls(path, file.tell(), frame_layout(n_atoms, has_cell=bool(control[10])))

    @property
    def n_frames(self) -> int:
        """Number of whole frames in the file (headers may claim more than were ever written)."""
        return (self.path.stat().st_size - self.first_frame_byte) // self.frame.itemsize

    def read(self, first: int, last: int) -> npt.NDArray[np.float32]:
        """Return frames first to last - 1, shape (frames, 3, atoms), in Angstrom."""
        start = self.first_frame_byte + first * self.frame.itemsize
        axes = np.fromfile(self.path, self.frame, count=last - first, offset=start)["axes"]
        values: npt.NDArray[np.float32] = axes["values"]
        if len(values) != last - first or (axes["length"] != values.shape[-1] * 4).any():
            raise ValueError(f"{self.path} does not hold the whole frames {first} to {last - 1}")
        return values


def frame_layout(n_atoms: int, has_cell: bool) -> np.dtype[np.void]:
    """Return how one frame lies in the file: all x, all y, all z, each between two length marks."""
    axis = np.dtype([("length", "<i4"), ("values", "<f4", (n_atoms,)), ("length_again", "<i4")])
    cell = [("cell", f"V{CELL_BYTES}")] if has_cell else []
    return np.dtype([*cell, ("axes", axis, (3,))])


def atom_names(psf: Path) -> list[str]:
    """Return the names of all atoms in a PSF topology, in file order."""
    lines = iter(psf.read_text().splitlines())
    n_atoms = next(int(line.split()[0]) for line in lines if "!NATOM" in line)
    return [line.split()[4] for line, _ in zip(lines, range(n_atoms), strict=False)]


def selected_atoms(psf: Path, selection: str) -> npt.NDArray[np.intp]:
    """Return the indices of the atoms with the name ``selection``; of all atoms for 'all'."""
    names = np.array(atom_names(psf))
    return np.flatnonzero((names == selection) | (selection == "all"))


def adk_files() -> tuple[Path, Path]:
    """Return topology and trajectory of the AdK transition, which come with a package from PyPI."""
    # find_spec only looks where the package lies. To import it would take the whole of MDAnalysis.
    package = importlib.util.find_spec(DATA_PACKAGE)
    if package is None or package.origin is None:
        raise SystemExit(
            f"The trajectory is in the package {DATA_PACKAGE} (60 MB), which is not installed. Please run:\n"
            f"    python -m pip install --no-deps {DATA_PACKAGE}"
        )
    data = Path(package.origin).parent / "data"
    return data / "adk.psf", data / "adk_dims.dcd"
