# SPDX-License-Identifier: Apache-2.0
"""Ragged token lists to padded batches of few, fixed shapes.

The bits of a matrix product change with the batch's shape, so a batch is
always full (padded with empty rows) and its length a multiple of one number.
"""

from collections.abc import Iterator, Sequence

import numpy as np


def by_length(
  sequences: Sequence[Sequence[int]], *, batch_size: int, multiple: int
) -> Iterator[tuple[list[int], np.ndarray]]:
  """Yields (rows, tokens [batch_size, t]), similar lengths together.

  Args:
    sequences: token ids, one list a record, none empty.
    batch_size: rows a batch; a short batch is padded with empty rows.
    multiple: t is the longest sequence rounded up to a multiple of this.

  Yields:
    The positions in `sequences` of the rows that count, and int32 token ids
    padded with 0.
  """
  lengths = [-(-len(pieces) // multiple) * multiple for pieces in sequences]
  order = sorted(range(len(sequences)), key=lambda row: (lengths[row], row))
  for length in sorted(set(lengths)):
    rows = [row for row in order if lengths[row] == length]
    for start in range(0, len(rows), batch_size):
      chosen = rows[start : start + batch_size]
      tokens = np.zeros((batch_size, length), np.int32)
      for index, row in enumerate(chosen):
        tokens[index, : len(sequences[row])] = sequences[row]
      yield chosen, tokens
