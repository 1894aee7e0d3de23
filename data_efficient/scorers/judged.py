# SPDX-License-Identifier: Apache-2.0
"""What scorers that ask a judge about windows of a text have in common."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from data_efficient.models.tokenizers import Tokenizer
from data_efficient.scorers import batching, interface, judges, runner


@dataclasses.dataclass(kw_only=True)
class Judged:
  """A scorer of texts by a judge.

  Attributes:
    judge: the network that is asked.
    windows: what is read of a text that is longer than the judge's window.
    max_windows: windows of a text at most; of a longer one so many are read,
      spread evenly over it.
    length_step: inputs are padded to a multiple of this many tokens: together
      with `batch_tokens` it fixes the shapes, so that a text's score does not
      depend on its neighbours.
    batch_tokens: tokens of a batch's inputs, padding included.
    part_records: records a part of the score set.
    name: the sampler's name in tables.
  """

  judge: judges.Judge
  windows: str
  max_windows: int
  length_step: int
  batch_tokens: int
  part_records: int
  name: str

  reads = interface.Reads.TEXT

  def check(self, tokenizer: Tokenizer) -> None:
    """Raises ValueError where vocabulary and judge do not fit, or no window."""
    judges.check_vocabulary(self.judge, tokenizer)
    if self.max_windows < 1:
      raise ValueError(f"max_windows = {self.max_windows}: expected at least 1")

  def buckets(self, longest: int) -> batching.Buckets:
    """The shapes of inputs of up to so many tokens."""
    return batching.Buckets(
      longest=longest, step=self.length_step, batch_tokens=self.batch_tokens
    )

  def identity(self) -> dict:
    """The part of what a score depends on that all such scorers have."""
    return {
      "name": self.name,
      "judge": self.judge.identity(),
      "windows": str(self.windows),
      "max_windows": self.max_windows,
      "length_step": self.length_step,
      "batch_tokens": self.batch_tokens,
      "devices": self.judge.layout(),
    }

  def prepare(self, read: interface.Read) -> None:
    """Nothing: a judge needs no pass over the corpus."""

  def score(self, batch: Sequence[str]) -> interface.Scores:
    """The scores of `n` texts; see the class for the columns."""
    return runner.score(self, batch)


def statuses(reasons: Sequence[str | None], values: np.ndarray) -> list[str]:
  """The status of each text.

  Args:
    reasons: why a text was not asked about; None where it was.
    values: what the judge said, [texts] or [texts, numbers].
  """
  finite = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
  return [
    interface.SCORED
    if fine and reason is None
    else interface.unscorable(reason or "non-finite")
    for reason, fine in zip(reasons, finite, strict=True)
  ]
