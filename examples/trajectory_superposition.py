"""Root-mean-square deviations (RMSD) after optimal superposition, for all frames of two windows at once.

Two structures superpose best under the rotation that Kabsch found (Acta Cryst. A32, 922, 1976). The deviation
that is left needs no rotation: it follows from the singular values of the 3 x 3 covariance of the two sets of
coordinates. NumPy finds those of a whole stack of covariances in one call.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Coordinates = npt.NDArray[np.float64]  # (frames, 3, atoms), Angstrom


def centred(frames: npt.NDArray[np.floating]) -> Coordinates:
    """Return the frames, each moved so that its mean position is the origin (all atoms weigh the same)."""
    exact = np.asarray(frames, np.float64)
    return np.ascontiguousarray(exact - exact.mean(axis=2, keepdims=True))


def pairwise_rmsd(rows: Coordinates, columns: Coordinates) -> npt.NDArray[np.float64]:
    """Return the RMSD of each frame of one window from each frame of another.

    Args:
        rows: (n, 3, atoms), centred.
        columns: (m, 3, atoms), centred.

    Returns:
        (n, m), in the unit of the coordinates.
    """
    overlap = best_overlap(covariances(rows, columns))
    squares = sum_of_squares(rows)[:, None] + sum_of_squares(columns)[None, :] - 2 * overlap
    # Between equal frames rounding may leave a number just below zero.
    return np.asarray(np.sqrt(np.maximum(squares, 0) / rows.shape[2]))


def covariances(rows: Coordinates, columns: Coordinates) -> npt.NDArray[np.float64]:
    """Return the 3 x 3 covariance of each pair of frames, shape (n, m, 3, 3), by one matrix product."""
    n_atoms = rows.shape[2]
    product = rows.reshape(-1, n_atoms) @ columns.reshape(-1, n_atoms).T
    return product.reshape(len(rows), 3, len(columns), 3).swapaxes(1, 2)


def best_overlap(covariance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the sum over atoms of a . b under the best rotation, for each covariance in the stack."""
    singular = np.linalg.svd(covariance, compute_uv=False)
    # A negative determinant says that the best orthogonal map is a mirror, which no molecule can follow:
    # the best true rotation gives up twice the smallest singular value.
    singular[..., 2] *= np.sign(np.linalg.det(covariance))
    return np.asarray(singular.sum(axis=-1))


def sum_of_squares(frames: Coordinates) -> npt.NDArray[np.float64]:
    """Return the sum of the squared coordinates of each frame."""
    return np.asarray(np.einsum("fxa,fxa->f", frames, frames))
