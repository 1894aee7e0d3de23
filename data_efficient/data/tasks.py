# SPDX-License-Identifier: Apache-2.0
"""seqio tasks over a corpus and a selection. Every function registers one.

A selection is served in one of three ways (`Serving`), all of which leave the
corpus as it is: changing what a model trains on is changing one path.
"""

import enum
import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import seqio
import tensorflow as tf

from data_efficient.data import (
  corpora,
  corpus_check,
  corpus_index,
  index_source,
  kept_records,
  preprocessors,
  record_source,
  selections,
)
from data_efficient.models import tokenizers

TaskName = str

# A shuffle over this many records covers the corpora of a laptop whole.
SHUFFLE_RECORDS = 1 << 16


class Serving(enum.StrEnum):
  """How the kept records of a corpus reach a task.

  FILTER reads the whole corpus, file by file, and drops the others first;
  any kind of file will do. INDEX reads the kept records alone, wherever they
  lie: plain JSON lines, Parquet, TFDS. MEMORY reads the kept records once, by
  one pass, and holds them: for small sets, whatever the files.
  """

  FILTER = "filter"
  INDEX = "index"
  MEMORY = "memory"


def cheapest(corpus: corpora.Corpus) -> Serving:
  """The serving for a small set of records, such as an evaluation set.

  Where it is INDEX and where MEMORY, the order of the records is the same.
  """
  direct = kept_records.allows_random_access(corpus)
  return Serving.INDEX if direct else Serving.MEMORY


def span_corruption(
  *,
  corpus: corpora.Corpus,
  index: corpus_index.CorpusIndex,
  selection: selections.Selection,
  serving: str,
  vocabulary: tokenizers.SentencePiece,
  inputs: int,
  noise_density: float,
  mean_span_length: float,
) -> TaskName:
  """Registers T5's pre-training task on the selected records of a corpus.

  Args:
    corpus: what is read.
    index: of the corpus.
    selection: which of its records are served.
    serving: how, a value of `Serving`; the kept records are the same, their
      order is not.
    vocabulary: with sentinels.
    inputs: tokens of the encoder's input, end-of-sequence included.
    noise_density: share of tokens that is masked (T5: 0.15).
    mean_span_length: mean tokens of a masked span (T5: 3.0).

  Raises:
    ValueError: an unknown serving, or more spans than the vocabulary has
      sentinels.
    CorpusError: the selection keeps nothing, the corpus has changed since it
      was indexed, or its files cannot be served in this way.
    ArtifactError: the selection is of another corpus, or damaged.
  """
  corpus_check.check(corpus, index, selection)
  lengths = preprocessors.corruption_lengths(
    inputs, noise_density=noise_density, mean_span_length=mean_span_length
  )
  if lengths.spans > tokenizers.SENTINELS:
    raise ValueError(
      f"inputs={inputs} tokens have {lengths.spans} masked spans, but there "
      f"are {tokenizers.SENTINELS} sentinels: shorten inputs, lower "
      "noise_density or raise mean_span_length"
    )
  features = seqio_vocabulary(vocabulary)
  source, first = _served(corpus, index, selection, Serving(serving))
  steps = [
    *first,
    preprocessors.text_to_targets,
    seqio.preprocessors.tokenize,
    functools.partial(
      preprocessors.concatenate_and_split, length=lengths.tokens
    ),
    preprocessors.drop_single_tokens,
    functools.partial(
      preprocessors.span_corruption,
      noise_density=noise_density,
      mean_span_length=mean_span_length,
      first_sentinel=vocabulary.first_sentinel,
    ),
    seqio.preprocessors.append_eos_after_trim,
  ]
  return _register("span_corruption", source, steps, features)


def answers(
  *,
  examples: Callable[[], Iterator[tuple[Sequence[int], Sequence[int]]]],
  vocabulary: tokenizers.SentencePiece,
) -> TaskName:
  """Registers a task of ready token ids: prompts in, answers out.

  Args:
    examples: yields (input ids, target ids), the same in every call.
    vocabulary: whose ids they are; end-of-sequence is added to the targets.
  """

  def dataset(split, shuffle_files, seed=None) -> tf.data.Dataset:
    del split, shuffle_files, seed

    def rows():
      for inputs, targets in examples():
        yield {"inputs": inputs, "targets": [*targets, vocabulary.eos_id]}

    ids = tf.TensorSpec((None,), tf.int32)
    return tf.data.Dataset.from_generator(
      rows, output_signature={"inputs": ids, "targets": ids}
    )

  source = seqio.FunctionDataSource(dataset, splits=("train",))
  return _register("answers", source, [], seqio_vocabulary(vocabulary))


def seqio_vocabulary(
  vocabulary: tokenizers.SentencePiece,
) -> seqio.SentencePieceVocabulary:
  """The same vocabulary for seqio's TensorFlow ops."""
  return seqio.SentencePieceVocabulary(
    vocabulary.path, extra_ids=vocabulary.appended_sentinels
  )


def bitmap(selection: selections.Selection) -> preprocessors.Bitmap:
  """A selection as the filter wants it."""
  packed = selection.bitmap()
  return preprocessors.Bitmap(
    bits=np.asarray(packed.bits),
    starts=dict(packed.offsets),
    records=dict(selection.shards),
  )


def _served(
  corpus: corpora.Corpus,
  index: corpus_index.CorpusIndex,
  selection: selections.Selection,
  serving: Serving,
) -> tuple[seqio.DataSource, list[Callable]]:
  """A source, and the preprocessors that make it serve the selection."""
  if serving is Serving.FILTER:
    whole = record_source.of(corpus, shuffle_records=SHUFFLE_RECORDS)
    return whole, [_filter(selection)]
  read = kept_records.in_memory
  if serving is Serving.INDEX:
    read = kept_records.by_random_access
  return index_source.IndexSource(read(corpus, index, selection)), []


def _filter(selection: selections.Selection) -> Callable:
  return functools.partial(
    preprocessors.keep_selected, bitmap=bitmap(selection)
  )


def _register(
  kind: str,
  source: seqio.DataSource,
  steps: Sequence[Callable],
  vocabulary: seqio.Vocabulary,
) -> TaskName:
  feature = seqio.Feature(vocabulary=vocabulary, add_eos=True)
  task = seqio.Task(
    name="unnamed",
    source=source,
    preprocessors=steps,
    output_features={"inputs": feature, "targets": feature},
  )
  number = len(seqio.TaskRegistry.names())
  name = f"{kind}_{number}"
  seqio.TaskRegistry.add_provider(name, task)
  return name
