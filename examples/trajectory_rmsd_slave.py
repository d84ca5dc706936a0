"""The slave of ``trajectory_rmsd.py``: computes the RMSDs between the frames of two windows of a trajectory.

The master names this file as its ``slave_script``. A slave script needs nothing but one JobSlave subclass.
"""

from __future__ import annotations

import os
from pathlib import Path

# One thread of linear algebra per slave, set before numpy loads: there is a slave on each core already, and
# slaves that each start a thread per core would only push one another aside.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt
from trajectory_frames import DcdTrajectory, selected_atoms
from trajectory_superposition import Coordinates, centred, pairwise_rmsd

from tracking import JobSlave

Pair = tuple[int, int]  # the numbers of two windows
Window = tuple[int, int]  # its first frame, and the one after its last
Job = tuple[str, Window, Window]  # which atoms, and the two windows to compare


class RmsdSlave(JobSlave):
    """Keeps each window that it has loaded: most of its later jobs need some of them again."""

    def initialize(self, params: dict[str, Path]) -> None:
        """Receive what the master's ``getInitParameters`` returned, once, before the first job."""
        self.topology = params["topology"]
        self.trajectory = DcdTrajectory.open(params["trajectory"])
        self.loaded: dict[tuple[str, Window], Coordinates] = {}

    def go(self, jobs: dict[Pair, Job]) -> dict[Pair, npt.NDArray[np.float64]]:
        """Return one block of the matrix for each pair of windows."""
        return {pair: self.block(*job) for pair, job in jobs.items()}

    def block(self, selection: str, rows: Window, columns: Window) -> npt.NDArray[np.float64]:
        """Return the RMSDs between the frames of two windows, in Angstrom."""
        return pairwise_rmsd(self.window(selection, rows), self.window(selection, columns))

    def window(self, selection: str, window: Window) -> Coordinates:
        """Return the centred coordinates of the selected atoms, from the file only the first time."""
        if (selection, window) not in self.loaded:
            atoms = selected_atoms(self.topology, selection)
            self.loaded[selection, window] = centred(self.trajectory.read(*window)[:, :, atoms])
        return self.loaded[selection, window]
