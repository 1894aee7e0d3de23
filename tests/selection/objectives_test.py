# SPDX-License-Identifier: Apache-2.0
"""Kernels the wrong way round, or no kernels, are refused by what they are."""

import numpy as np
import pytest
import scipy.sparse

from data_efficient.selection import interface, objectives, pairwise
from data_efficient.selection.pairwise import KNOWN, POOL, QUERIES
from tests.selection import set_functions
from tests.selection.set_functions import COVERS, NAMES, kernel


def _transposed(which):
  return which._replace(
    values=which.values.T, axes=which.axes[::-1], records=which.records[::-1]
  )


@pytest.mark.parametrize("name", NAMES)
def test_a_transposed_kernel_is_refused_by_name(name):
  objective, kernels, _ = set_functions.made(name)
  for number in range(len(kernels)):
    turned = list(kernels)
    turned[number] = _transposed(kernels[number])
    with pytest.raises(
      pairwise.KernelError, match="wrong way round: transpose"
    ):
      objective.function(*turned)
  objective.function(*kernels)


@pytest.mark.parametrize("name", ["fl1mi", "fl2mi", "flmi", "flcg"])
def test_records_the_wrong_way_round_are_refused(name):
  objective, kernels, _ = set_functions.made(name)
  last = kernels[-1]
  # Of the same records, but the others were asked to help.
  other = last._replace(values=last.values.T, records=last.records[::-1])
  with pytest.raises(pairwise.KernelError, match="make the other one"):
    objective.function(*kernels[:-1], other)


def test_the_kernels_that_each_form_needs():
  square, known = kernel(np.eye(3)), kernel(np.eye(3), POOL, KNOWN)
  with pytest.raises(pairwise.KernelError, match=r"queries.*got.*known"):
    objectives.FL1MI(eta=1.0).function(square, known)
  with pytest.raises(pairwise.KernelError, match="reads a second kernel"):
    objectives.FLCG(nu=1.0).function(square)
  with pytest.raises(pairwise.KernelError, match="leave the second one out"):
    objectives.FacilityLocation().function(square, square)
  short = kernel(np.eye(2), POOL, KNOWN)
  with pytest.raises(pairwise.KernelError, match="of 3 records.*of 2"):
    objectives.FLCG(nu=1.0).function(square, short)
  # Facility location of a target set is one too.
  objectives.FacilityLocation().function(kernel(np.ones((2, 3)), QUERIES))


@pytest.mark.parametrize(
  ("values", "message"),
  [
    (np.zeros((0, 3)), r"shape \(0, 3\)"),
    (np.zeros(3), r"shape \(3,\)"),
    (-np.ones((2, 2)), "no entry .* above 0"),
    (np.zeros((2, 2)), "no entry .* above 0"),
    (np.array([[1, 0], [2, np.nan]]), "row 1, column 1 is nan"),
    (np.array([[np.inf, 0], [2, 1]]), "row 0, column 0 is inf"),
  ],
)
def test_values_that_are_no_kernel(values, message):
  with pytest.raises(pairwise.KernelError, match=message):
    objectives.FacilityLocation().function(kernel(values))


def test_sparse_values_that_are_no_kernel():
  for value, message in ((np.nan, "nan"), (-1.0, "no entry")):
    values = scipy.sparse.csr_array(np.diag([value, 0.0]))
    with pytest.raises(pairwise.KernelError, match=message):
      objectives.FacilityLocation().function(kernel(values))


@pytest.mark.parametrize("name", ["graph_cut", "log_determinant"])
def test_only_symmetric_positive_semidefinite_kernels(name):
  objective = set_functions.made(name)[0]
  base = set_functions.psd(4)
  lopsided = base.copy()
  lopsided[1, 2] += 0.5
  indefinite = np.ones((2, 2), np.float32) - np.eye(2, dtype=np.float32)
  for values, message in (
    (lopsided, r"symmetric.*\(1, 2\)"),
    (indefinite, "smallest eigenvalue of this one is -1"),
    (base[:3], "square"),
    (scipy.sparse.csr_array(base), "sparse"),
  ):
    with pytest.raises(pairwise.KernelError, match=message):
      objective.function(kernel(values))


def test_graph_cut_needs_similarities_from_zero():
  values = np.array([[1.0, -0.5], [-0.5, 1.0]])
  with pytest.raises(pairwise.KernelError, match="found -0.5"):
    objectives.GraphCut(penalty=0.5).function(kernel(values))
  objectives.LogDeterminant(ridge=1.0).function(kernel(values))


def test_parameters_that_are_not_there():
  for make in (
    lambda: objectives.FL1MI(eta=0.0),
    lambda: objectives.FL2MI(eta=-1.0),
    lambda: objectives.FLMI(eta=float("nan")),
    lambda: objectives.FLCG(nu=-0.1),
    lambda: objectives.GraphCut(penalty=-1.0),
    lambda: objectives.LogDeterminant(ridge=0.0),
  ):
    with pytest.raises(interface.SelectionError, match="must be"):
      make()


@pytest.mark.parametrize("name", COVERS)
def test_scale_and_negatives(name):
  objective, kernels, _ = set_functions.made(name)
  clipped = [k._replace(values=np.maximum(k.values, 0)) for k in kernels]
  given, other = objective.function(*kernels), objective.function(*clipped)
  np.testing.assert_array_equal(given.gains(), other.gains())
  assert given.add(3) == other.add(3)
