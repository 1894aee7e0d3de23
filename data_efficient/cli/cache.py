# SPDX-License-Identifier: Apache-2.0
"""The verb `cache`: a corpus tokenised once, for every selection of it."""

from collections.abc import Sequence

from data_efficient.data import prepared, tasks, token_cache
from data_efficient.models import tokenizers


def cache(
  *,
  corpus: prepared.Prepared,
  vocabulary: tokenizers.SentencePiece,
  output: str,
  shards: int,
  beam_options: Sequence[str],
) -> None:
  """Writes the tokens of all records by an Apache Beam pipeline.

  Args:
    corpus: what is tokenised.
    vocabulary: by what.
    output: directory of caches; this one gets a folder of its own there.
    shards: files, at least.
    beam_options: of the pipeline, such as '--runner=DirectRunner'.

  Raises:
    CacheError: Apache Beam is not installed.
  """
  task = tasks.tokens(
    corpus=corpus.corpus, index=corpus.index, vocabulary=vocabulary
  )
  token_cache.write(task, output, shards=shards, options=beam_options)
  print(f"{output}: the tokens of {corpus.index.name} are in {task}")
