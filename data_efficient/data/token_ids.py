# SPDX-License-Identifier: Apache-2.0
"""seqio's vocabulary of tasks whose ids were made beforehand."""

from collections.abc import Sequence

import seqio

from data_efficient.data import tasks
from data_efficient.models import tokenizers


class TokenIds(seqio.PassThroughVocabulary):
  """Passes ids through, and reads them back as text.

  Args:
    tokenizer: what made the ids; any that decodes.
  """

  def __init__(self, tokenizer: tokenizers.Tokenizer):
    super().__init__(size=tokenizer.size, eos_id=tokenizer.eos_id)
    self._tokenizer = tokenizer

  def _decode(self, ids: Sequence[int]) -> str:
    return self._tokenizer.decode(ids)

  def __eq__(self, other: object) -> bool:
    if not isinstance(other, TokenIds):
      return False
    return self._tokenizer.fingerprint == other._tokenizer.fingerprint


def vocabulary(tokenizer: tokenizers.Tokenizer) -> seqio.Vocabulary:
  """seqio's own where it reads the tokenizer's file, else `TokenIds`."""
  if isinstance(tokenizer, tokenizers.SentencePiece):
    return tasks.seqio_vocabulary(tokenizer)
  return TokenIds(tokenizer)
