# SPDX-License-Identifier: Apache-2.0
"""seqio tasks over a corpus and a selection. Every function registers one.

The first preprocessor of each task is the selection's filter: a corpus is
never rewritten, and changing what a model trains on is changing one path.
"""

import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import seqio
import tensorflow as tf

from data_efficient.data import (
  corpora,
  preprocessors,
  record_source,
  selections,
)
from data_efficient.models import tokenizers

TaskName = str

# A shuffle over this many records covers the corpora of a laptop whole.
SHUFFLE_RECORDS = 1 << 16


def span_corruption(
  *,
  corpus: corpora.Corpus,
  selection: selections.Selection,
  vocabulary: tokenizers.SentencePiece,
  inputs: int,
  noise_density: float,
  mean_span_length: float,
) -> TaskName:
  """Registers T5's pre-training task on the selected records of a corpus.

  Args:
    corpus: what is read.
    selection: which of its records are served.
    vocabulary: with sentinels.
    inputs: tokens of the encoder's input, end-of-sequence included.
    noise_density: share of tokens that is masked (T5: 0.15).
    mean_span_length: mean tokens of a masked span (T5: 3.0).

  Raises:
    ValueError: more spans than the vocabulary has sentinels.
    CorpusError: the selection keeps nothing.
  """
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
  steps = [
    _filter(selection),
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
  source = record_source.of(corpus, shuffle_records=SHUFFLE_RECORDS)
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


def _filter(selection: selections.Selection) -> Callable:
  if not selection.records:
    raise corpora.CorpusError(
      "the selection keeps no record of the corpus: nothing to train on"
    )
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
