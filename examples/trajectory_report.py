"""What the trajectory example shows: a table against the values of independent programs, and a heat map."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

TOLERANCE = 1e-5  # Angstrom

# Angstrom; from independent programs. Their mean is that of the whole matrix, zeros on the diagonal included
# (of the pairs of different frames alone it is 98/97 of that: 2.802187 and 2.994479).
EXPECTED = {
    "CA": {"M[0,97]": 6.814428, "maximum": 6.833415, "mean of M": 2.773593},
    "all": {"M[0,97]": 6.929083, "maximum": 6.929083, "mean of M": 2.963923},
}


def summary(matrix: Matrix) -> dict[str, float]:
    """Return the numbers to compare: last frame from first, the largest, and the mean of the matrix."""
    return {"M[0,97]": matrix[0, 97], "maximum": matrix.max(), "mean of M": matrix.mean()}


def check(matrices: Mapping[str, Matrix]) -> None:
    """Print computed and expected values side by side; AssertionError if they differ too much."""
    print(f"\n{'atoms':6}{'RMSD (Angstrom)':17}{'computed':>10}{'expected':>12}{'difference':>12}")
    differences = []
    for selection, matrix in matrices.items():
        for name, computed in summary(matrix).items():
            expected = EXPECTED[selection][name]
            differences.append(abs(computed - expected))
            print(f"{selection:6}{name:17}{computed:10.6f}{expected:12.6f}{differences[-1]:12.1e}")
    assert all(difference < TOLERANCE for difference in differences), "not what independent programs find"


def draw(matrices: Mapping[str, Matrix], path: Path) -> None:
    """Write the matrices as heat maps side by side on one colour scale, as PNG."""
    # Only whoever draws needs matplotlib. A Figure without pyplot needs no display either.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.2 + 4.8 * len(matrices), 4.9), layout="constrained")
    panels = figure.subplots(1, len(matrices), squeeze=False)[0]
    highest = max(matrix.max() for matrix in matrices.values())
    for panel, (selection, matrix) in zip(panels, matrices.items(), strict=True):
        image = panel.imshow(matrix, origin="lower", vmin=0, vmax=highest, cmap="viridis")
        panel.set(title=f"{selection} atoms", xlabel="frame", ylabel="frame")
    figure.colorbar(image, ax=panels, label="RMSD (Å)", shrink=0.9)
    figure.suptitle("AdK from closed to open: RMSD of all pairs of frames")
    figure.savefig(path, format="png", dpi=150)
