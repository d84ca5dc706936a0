"""The matrix of RMSDs between all pairs of frames of a molecular-dynamics trajectory.

The frames are cut into windows; each item is one pair of windows, and its result is one block of the matrix.

    python examples/trajectory_rmsd.py                                   both selections, checked and drawn
    python examples/trajectory_rmsd.py --run-file rmsd.run --interrupt-after 20    kills itself half-way ...
    python examples/trajectory_rmsd.py --run-file rmsd.run                         ... and goes on from there
    python examples/trajectory_rmsd.py --hosts 'node1*4' node2                     over ssh; see places.py for more
    python examples/trajectory_rmsd.py --fabric slurm partition=short
    mpiexec -n 8 python -m tracking.fabrics.mpi examples/trajectory_rmsd.py

Needs numpy and matplotlib, and the trajectory: ``python -m pip install --no-deps MDAnalysisTests``. Slaves need numpy,
and find these files and the trajectory where the program does.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import places
import trajectory_report
import trajectory_rmsd_slave
from trajectory_frames import DcdTrajectory, adk_files
from trajectory_rmsd_slave import Job, Pair, Window

from tracking import TrackingJobMaster

Matrix = npt.NDArray[np.float64]


class RmsdMaster(TrackingJobMaster):
    """Compares all frames of a trajectory with each other.

    Args:
        topology: PSF file.
        trajectory: DCD file.
        selection: name of the atoms to superpose and compare, 'all' for all of them.
        window_size: frames per window.
        options: for TrackingJobMaster (hosts, run_file, verbose, ...).
    """

    def __init__(
        self, topology: Path, trajectory: Path, selection: str, window_size: int = 10, **options: Any
    ) -> None:
        self.files = {"topology": topology, "trajectory": trajectory}
        self.windows = cut(DcdTrajectory.open(trajectory).n_frames, window_size)
        self.computed: set[Pair] = set()
        data = window_pairs(self.windows, selection)
        super().__init__(data, slave_script=trajectory_rmsd_slave.__file__, **options)

    def getInitParameters(self, slave_tid: int) -> dict[str, Path]:
        """Tell a new slave where the files are; it loads the windows that it needs by itself."""
        return self.files

    def job_done(self, slave_tid: int, result: dict[Pair, Matrix]) -> None:
        """Remember what was computed in this run; the rest was in the run file."""
        super().job_done(slave_tid, result)
        self.computed.update(result)

    def getResult(self) -> Matrix:
        """Return the symmetric matrix, in Angstrom."""
        return assemble(self.result, self.windows)

    @property
    def n_restored(self) -> int:
        """How many results came out of the run file."""
        return len(self.data) - len(self.computed)


def cut(n_frames: int, window_size: int) -> list[Window]:
    """Return (first, last + 1) of each window; the last one may be shorter."""
    return [(first, min(first + window_size, n_frames)) for first in range(0, n_frames, window_size)]


def window_pairs(windows: list[Window], selection: str) -> dict[Pair, Job]:
    """Return the data of the calculation: what to compare, for each pair (i, j) with i <= j."""
    # The selection could go to the slaves as an init parameter, once. As part of each value it is known to
    # the run file too, which then notices if it is used for other atoms by mistake.
    numbers = range(len(windows))
    return {(i, j): (selection, windows[i], windows[j]) for i in numbers for j in numbers[i:]}


def assemble(blocks: dict[Pair, Matrix], windows: list[Window]) -> Matrix:
    """Put the blocks (i, j), i <= j, together to the whole matrix: symmetric, zeros on the diagonal.

    Where a block is missing there is NaN.
    """
    n_frames = windows[-1][1]
    matrix = np.full((n_frames, n_frames), np.nan)
    for (i, j), block in blocks.items():
        matrix[slice(*windows[i]), slice(*windows[j])] = block
    upper = np.triu(matrix, k=1)
    return upper + upper.T


def calculate(master: RmsdMaster, interrupt_after: int | None) -> Matrix:
    """Run the master to the end, or until it has recorded so many new results."""
    if interrupt_after is None:
        matrix: Matrix = master.calculateResult()
        return matrix
    master.start()
    kill_after(interrupt_after, master)
    return master.getResult()


def kill_after(n_results: int, master: RmsdMaster) -> None:
    """End this process as a power cut would, once so many results of this run are recorded."""
    # A master hands out results only when they are in the run file, old ones from there included.
    new = (pair for pair, _ in master if pair in master.computed)
    for count, _ in enumerate(new, start=1):
        if count == n_results:
            print(f"{count} results are recorded. Killed; the same run file lets it go on.", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)


def matrix_of(selection: str, options: argparse.Namespace) -> Matrix:
    """Calculate the matrix for one selection of atoms and say how it went."""
    began = time.perf_counter()
    master = RmsdMaster(
        *adk_files(),
        selection,
        options.window,
        **places.places(options),
        run_file=own_path(options.run_file, selection, options),
        verbose=int(options.verbose),
    )
    matrix = calculate(master, options.interrupt_after)
    print(
        f"{selection}: {len(matrix)} frames, {len(master.data)} pairs of windows, "
        f"{master.n_restored} of {len(master.data)} restored, {time.perf_counter() - began:.2f} s"
    )
    return matrix


def own_path(path: Path | None, selection: str, options: argparse.Namespace) -> Path | None:
    """Return the path as it is; with the selection in its name where there are several selections."""
    if path is None or options.selection:
        return path
    return path.with_stem(f"{path.stem}-{selection}")


def command_line() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description="Pairwise RMSDs of the AdK transition, checked and drawn.")
    add = parser.add_argument
    add("--selection", choices=list(trajectory_report.EXPECTED), help="default: both, in turn")
    add("--window", type=positive, default=10, metavar="N", help="frames per window (default: 10)")
    places.add_options(parser)
    add("--run-file", type=output_path, metavar="F", help="record results here; go on from it if it exists")
    add("--interrupt-after", type=positive, metavar="N", help="SIGKILL this program after N new results")
    add("-o", "--output", type=output_path, default="trajectory_rmsd.png", metavar="PNG", help="heat map")
    add("--matrix", type=output_path, metavar="NPY", help="write the matrix here as well")
    add("--verbose", action="store_true", help="show progress, and at the end who did what")
    parser.epilog = "With both selections, run file and matrix are two files each: F-CA and F-all."
    return parser


def positive(text: str) -> int:
    """Return a whole number above zero, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {text}")
    return number


def output_path(text: str) -> Path:
    """Return a path that can be written, for argparse: better to fail now than after the calculation."""
    path = Path(text)
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text} cannot be written")
    return path


def main() -> None:
    """Calculate, check, and write what was asked for."""
    parser = command_line()
    options = parser.parse_args()
    if options.interrupt_after and not options.run_file:
        parser.error("--interrupt-after needs --run-file: else nothing is left to go on with")
    selections = [options.selection] if options.selection else list(trajectory_report.EXPECTED)
    matrices = {selection: matrix_of(selection, options) for selection in selections}
    trajectory_report.check(matrices)
    trajectory_report.draw(matrices, options.output)
    print(f"\nHeat map: {options.output}")
    for selection, matrix in matrices.items():
        if path := own_path(options.matrix, selection, options):
            np.save(path, matrix)


if __name__ == "__main__":
    main()
