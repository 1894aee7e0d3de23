# SPDX-License-Identifier: Apache-2.0
"""Whether a selection, an index and the files at hand are of one corpus.

Checked when a task is built, before anything is trained on: counts and names
exactly, texts by a sample, so that the corpus need not be read.
"""

import itertools

import numpy as np

from data_efficient.data import kept_records
from data_efficient.data.corpora import Corpus, CorpusError
from data_efficient.data.corpus_index import CorpusIndex
from data_efficient.data.selections import Selection

_SAMPLED = 16  # records whose text is compared


def check(corpus: Corpus, index: CorpusIndex, selection: Selection) -> None:
  """Refuses what does not belong together, or keeps nothing.

  Args:
    corpus: the files at hand.
    index: made from the corpus once.
    selection: made from the index.

  Raises:
    ArtifactError: the selection is of another corpus, version or split.
    CorpusError: other shards than the index has, a sampled text that is not
      the one that was indexed, or no record is kept; names file and row.
  """
  selection.check_corpus(index.describe())
  _check_shards(corpus, index)
  if not selection.records:
    raise CorpusError(kept_records.nothing_kept(selection))
  _check_sample(corpus, index)


def _check_shards(corpus: Corpus, index: CorpusIndex) -> None:
  found, known = corpus.shards(), list(index.shards)
  if found == known:
    return
  gone = [shard for shard in known if shard not in set(found)]
  new = [shard for shard in found if shard not in set(known)]
  what = [
    f"{word}: {', '.join(shards[:5])}{' …' * (len(shards) > 5)}"
    for word, shards in (("no longer there", gone), ("new", new))
    if shards
  ]
  raise CorpusError(
    f"the shards of the corpus {index.name!r} are not those of its index "
    f"({'; '.join(what) or 'their order differs'}): name the files that were "
    "indexed, or index, score and select anew"
  )


def _check_sample(corpus: Corpus, index: CorpusIndex) -> None:
  filled = [shard for shard, count in index.shards.items() if count]
  picked = np.linspace(0, len(filled) - 1, min(_SAMPLED, len(filled)))
  direct = kept_records.allows_random_access(corpus)
  for number, shard in enumerate(filled[round(place)] for place in picked):
    # Spread over the shards' lengths; from the start where only that is cheap.
    share = number / max(len(picked) - 1, 1)
    position = round(share * (index.shards[shard] - 1)) if direct else 0
    text = (
      _fetched(corpus, index, shard, position)
      if direct
      else _first(corpus, shard)
    )
    expected = int(index.shard_column(shard, "fingerprint")[position])
    kept_records.check_text(shard, position, text, expected)


def _fetched(
  corpus: Corpus, index: CorpusIndex, shard: str, position: int
) -> str:
  offset = int(index.shard_column(shard, "offset")[position])
  return corpus.fetch(shard, [position], [offset])[0]


def _first(corpus: Corpus, shard: str) -> str:
  record = next(itertools.islice(corpus.read(shard), 1), None)
  if record is None:
    raise CorpusError(
      f"{shard}: has no record any more, the index has some: the file has "
      "changed since it was indexed; bring it back"
    )
  return record.text
