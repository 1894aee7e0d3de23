# SPDX-License-Identifier: Apache-2.0
"""Kernels with named axes: how much each example helps each target.

Rows are targets, what is to be represented; columns are examples, what can be
chosen. A name for each axis, and for the set of records behind it, is what
tells a kernel from its transpose, which has the same shape for a pool beside
itself and would silently choose other examples.
"""

from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse
from jaxtyping import Float

from data_efficient.selection.interface import SelectionError

TARGET, EXAMPLE = "target", "example"
AXES = (TARGET, EXAMPLE)
# Sets of records.
POOL, QUERIES, KNOWN = "pool", "queries", "known"

Values = np.ndarray | scipy.sparse.csr_array

# Of the largest entry: how far s_ij and s_ji, and an eigenvalue below 0, may be
# from what exact numbers would give.
_ROUNDING = 1e-5
_BLOCK = 1024
_ALIGNED = 64  # bytes


class KernelError(SelectionError):
  """A kernel that a function cannot be made of, and what was found in it."""


class Kernel(NamedTuple):
  """Similarities or utilities of pairs.

  Attributes:
    values: s, [targets, examples], float32; a sparse one has a 0 in each place
      that it does not store.
    axes: what its rows and its columns are: ("target", "example").
    records: which records: "pool" (what can be chosen from), "queries" (the
      target set of task-specific tuning), "known" (what a model has learnt).
  """

  values: Values
  axes: tuple[str, str] = AXES
  records: tuple[str, str] = (POOL, POOL)

  @property
  def is_sparse(self) -> bool:
    """Whether it stores some of its pairs alone."""
    return scipy.sparse.issparse(self.values)


def aligned(rows: int, columns: int) -> Float[np.ndarray, "i j"]:
  """Returns zeros, float32, that a device of the host reads without a copy."""
  memory = np.zeros(4 * rows * columns + _ALIGNED, np.uint8)
  start = -memory.ctypes.data % _ALIGNED
  end = start + 4 * rows * columns
  return memory[start:end].view(np.float32).reshape(rows, columns)


def checked(kernel: Kernel, *, records: tuple[str, str], use: str) -> Values:
  """Returns a kernel's values as float32, contiguous; CSR if sparse.

  Args:
    kernel: to check.
    records: the sets of records that its targets and its examples must be.
    use: what it is for, in messages.

  Raises:
    KernelError: axes of other names or in another order; no entries; an entry
      that is no number; or none above 0.
  """
  _check_names(kernel, records, use)
  values = kernel.values
  if values.ndim != 2 or 0 in values.shape:
    raise KernelError(
      f"{use} needs a kernel of targets by examples, got one of shape "
      f"{values.shape}"
    )
  if kernel.is_sparse:
    values = scipy.sparse.csr_array(values, dtype=np.float32)
    values.sum_duplicates()
    _check_entries(values.data[None], use)
    return values
  values = np.asarray(values, np.float32)
  _check_entries(values, use)
  return values


def positive_semidefinite(
  kernel: Kernel, *, use: str, negatives: bool
) -> np.ndarray:
  """Returns the values of a symmetric positive semidefinite kernel, float32.

  Args:
    kernel: of the pool beside itself.
    use: what it is for, in messages.
    negatives: whether similarities below 0 may be there.

  Raises:
    KernelError: as `checked`; or a sparse one, one that is not symmetric, has
      an eigenvalue below 0 by more than rounding, or a negative entry.
  """
  if kernel.is_sparse:
    raise KernelError(f"{use} needs a dense kernel, got a sparse one")
  values = checked(kernel, records=(POOL, POOL), use=use)
  rows, columns = values.shape
  if rows != columns:
    raise KernelError(
      f"{use} needs a square kernel, got one of {rows} by {columns}"
    )
  scale = float(np.abs(values).max())
  _check_symmetry(values, scale, use)
  if not negatives and values.min() < -_ROUNDING * scale:
    raise KernelError(
      f"{use} needs similarities from 0, found {values.min():.4g}: with "
      "negative ones it is not submodular; clip them at 0 or use exp"
    )
  # Fails at the first pivot that is not positive, at a third of n³.
  raised = values + np.float32(_ROUNDING * scale) * np.eye(
    rows, dtype=np.float32
  )
  try:
    scipy.linalg.cholesky(raised, lower=True, overwrite_a=True)
  except np.linalg.LinAlgError:
    least = scipy.linalg.eigvalsh(
      values.astype(np.float64), subset_by_index=[0, 0]
    )[0]
    if least < -_ROUNDING * scale:
      raise KernelError(
        f"{use} needs a positive semidefinite kernel; the smallest eigenvalue "
        f"of this one is {least:.4g} (its largest entry {scale:.4g}). A kernel "
        "of utilities is none; use cosines of embeddings"
      ) from None
  return values


def _check_names(kernel: Kernel, records: tuple[str, str], use: str) -> None:
  wanted = " × ".join(
    f"{axis} ({of})" for axis, of in zip(AXES, records, strict=True)
  )
  found = " × ".join(
    f"{axis} ({of})"
    for axis, of in zip(kernel.axes, kernel.records, strict=True)
  )
  if found == wanted:
    return
  hint = "name another kernel"
  if tuple(kernel.axes) == AXES[::-1] and kernel.records == records[::-1]:
    hint = "it is the wrong way round: transpose it"
  elif kernel.records == records[::-1]:
    hint = "its records are the wrong way round: make the other one of the two"
  raise KernelError(f"{use} needs a kernel {wanted}, got {found}; {hint}")


def _check_entries(values: np.ndarray, use: str) -> None:
  most = -np.inf
  for start in range(0, len(values), _BLOCK):
    block = values[start : start + _BLOCK]
    # A sum of finite numbers may overflow; a look at each is needed then.
    if not np.isfinite(block.sum()) and not np.isfinite(block).all():
      row, column = np.argwhere(~np.isfinite(block))[0].tolist()
      raise KernelError(
        f"{use}: the kernel's entry in row {start + row}, column {column} is "
        f"{block[row, column]}; entries must be finite (masked pairs: read the "
        "kernel with its mask)"
      )
    most = max(most, float(block.max(initial=-np.inf)))
  if most <= 0:
    raise KernelError(
      f"{use}: no entry of the kernel is above 0 (the largest is {most:.4g}): "
      "no example helps any target, and nothing can be chosen by it; use the "
      "transform 'minmax' or 'exp' to choose what harms least"
    )


def _check_symmetry(values: np.ndarray, scale: float, use: str) -> None:
  for start in range(0, len(values), _BLOCK):
    block = slice(start, start + _BLOCK)
    apart = np.abs(values[block] - values[:, block].T)
    worst = np.unravel_index(apart.argmax(), apart.shape)
    if apart[worst] > _ROUNDING * scale:
      row, column = start + int(worst[0]), int(worst[1])
      raise KernelError(
        f"{use} needs a symmetric kernel; entry ({row}, {column}) is "
        f"{values[row, column]:.6g} and ({column}, {row}) "
        f"{values[column, row]:.6g}. A kernel of utilities is not symmetric; "
        "use cosines of embeddings"
      )
