# SPDX-License-Identifier: Apache-2.0
"""Utility kernels of given numbers, in files."""

import numpy as np

from data_efficient.data import utility_kernel_writer
from data_efficient.data.utility_blocks import Axis
from data_efficient.data.utility_kernels import UtilityKernel


def axis(texts, content=1) -> Axis:
  """Records of some fingerprints, all of them scored."""
  count = len(texts)
  return Axis(
    ["a.jsonl"] * count,
    np.full(count, content, np.uint64),
    np.arange(count),
    np.array(texts, np.uint64),
    ["scored"] * count,
  )


def write(
  directory,
  values,
  *,
  targets,
  examples,
  exact=None,
  predicted=None,
  **identity,
) -> UtilityKernel:
  """A kernel whose blocks are smaller than it.

  Args:
    directory: of it.
    values: float32 [targets, examples].
    targets: fingerprints.
    examples: fingerprints.
    exact: as of the writer.
    predicted: as of the writer.
    **identity: of the kernel, beside its scorer.
  """
  identity = {"scorer": {"distance": "euclidean"}} | identity
  with utility_kernel_writer.UtilityKernelWriter(
    directory,
    identity=identity,
    targets=axis(targets),
    examples=axis(examples, content=2),
    block=(7, 5),
  ) as writer:
    writer.write_alone(np.zeros(len(targets), np.float32))
    for place in writer.missing():
      part = place.targets, place.examples
      writer.write(
        place,
        values[part],
        exact=None if exact is None else exact[part],
        predicted=None if predicted is None else predicted[part],
      )
    writer.finish()
  return UtilityKernel.open(directory)
