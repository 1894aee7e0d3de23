# SPDX-License-Identifier: Apache-2.0
"""seqio tasks over a corpus and a selection. Every function registers one.

A selection is served in one of three ways (`Serving`), all of which leave the
corpus as it is: changing what a model trains on is changing one path.
"""

import enum
import functools
from collections.abc import Callable, Iterator, Sequence

import seqio
import tensorflow as tf

from data_efficient.data import (
  corpora,
  corpus_check,
  corpus_index,
  index_source,
  kept_records,
  preprocessors,
  record_filter,
  record_source,
  selections,
  token_cache,
)
from data_efficient.data.feature_converters import WEIGHTS
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
  weighted: bool,
  cache: str | None = None,
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
    weighted: whether the selection's weights become the tokens' loss weights,
      a feature "target_weights" beside "targets" (see `feature_converters`).
    cache: where the corpus is cached (`token_cache`), to be read in place of
      its texts; the serving is then the filter.

  Raises:
    ValueError: an unknown serving, one that cannot read a cache, or more spans
      than the vocabulary has sentinels.
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
  serving = Serving(serving)
  if cache and serving is not Serving.FILTER:
    raise ValueError(
      f"a cache is read by the filter, not by {serving.value!r}: it holds the "
      "whole corpus"
    )
  source, kept = _served(corpus, index, selection, serving, weighted)
  tokenized = [*kept, *token_cache.steps()]
  if cache:
    placeholder = seqio.CacheDatasetPlaceholder(required=True)
    tokenized = [*token_cache.steps(), placeholder, *kept]
  steps = [
    *tokenized,
    functools.partial(
      preprocessors.concatenate_and_split,
      length=lengths.tokens,
      weighted=weighted,
    ),
    preprocessors.drop_single_tokens,
    functools.partial(
      preprocessors.span_corruption,
      noise_density=noise_density,
      mean_span_length=mean_span_length,
      first_sentinel=vocabulary.first_sentinel,
    ),
    seqio.preprocessors.append_eos_after_trim,
    *([preprocessors.append_weight_of_eos] if weighted else []),
  ]
  build = seqio.Task
  if cache:
    cached = token_cache.name(index, vocabulary)
    build = functools.partial(token_cache.Task, cache=cache, cached=cached)
  features = _features(vocabulary, ("inputs", "targets"), weighted=weighted)
  return _register("span_corruption", source, steps, features, build=build)


def tokens(
  *,
  corpus: corpora.Corpus,
  index: corpus_index.CorpusIndex,
  vocabulary: tokenizers.SentencePiece,
) -> TaskName:
  """Registers, once, the task that `token_cache.write` caches.

  Args:
    corpus: what is read, all of it.
    index: of the corpus.
    vocabulary: of the tokens.
  """
  name = token_cache.name(index, vocabulary)
  if name not in seqio.TaskRegistry.names():
    seqio.TaskRegistry.add(
      name,
      source=record_source.of(corpus, shuffle_records=SHUFFLE_RECORDS),
      preprocessors=[*token_cache.steps(), seqio.CacheDatasetPlaceholder()],
      output_features=_features(vocabulary, ("targets",), weighted=False),
    )
  return name


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
  features = _features(vocabulary, ("inputs", "targets"), weighted=False)
  return _register("answers", source, [], features)


def seqio_vocabulary(
  vocabulary: tokenizers.Tokenizer,
) -> seqio.SentencePieceVocabulary:
  """The same vocabulary for seqio's TensorFlow ops.

  Raises:
    TokenizerError: not a SentencePiece model, the only files that seqio reads.
  """
  if not isinstance(vocabulary, tokenizers.SentencePiece):
    raise tokenizers.TokenizerError(
      f"{getattr(vocabulary, 'path', vocabulary)}: only scoring reads a"
      " tokenizer.json; for training, give the SentencePiece file of the same"
      " vocabulary (spiece.model)"
    )
  return seqio.SentencePieceVocabulary(
    vocabulary.path, extra_ids=vocabulary.appended_sentinels
  )


def _served(
  corpus: corpora.Corpus,
  index: corpus_index.CorpusIndex,
  selection: selections.Selection,
  serving: Serving,
  weighted: bool,
) -> tuple[seqio.DataSource, list[Callable]]:
  """A source, and the preprocessors that make it serve the selection."""
  if serving is Serving.FILTER:
    whole = record_source.of(corpus, shuffle_records=SHUFFLE_RECORDS)
    return whole, _filter(selection, weighted=weighted)
  read = kept_records.in_memory
  if serving is Serving.INDEX:
    read = kept_records.by_random_access
  return index_source.IndexSource(read(corpus, index, selection)), []


def _filter(
  selection: selections.Selection, *, weighted: bool
) -> list[Callable]:
  if not weighted:
    bitmap = record_filter.bitmap(selection)
    return [functools.partial(record_filter.keep_selected, bitmap=bitmap)]
  kept = record_filter.kept_weights(selection)
  return [
    functools.partial(record_filter.keep_selected, bitmap=kept.bitmap),
    functools.partial(record_filter.add_weights, weights=kept),
  ]


def _features(
  vocabulary: tokenizers.SentencePiece, names: Sequence[str], *, weighted: bool
) -> dict[str, seqio.Feature]:
  feature = seqio.Feature(seqio_vocabulary(vocabulary), add_eos=True)
  features = {name: feature for name in names}
  if weighted:
    features[WEIGHTS] = seqio.Feature(
      seqio.PassThroughVocabulary(size=0), add_eos=False, dtype=tf.float32
    )
  return features


def _register(
  kind: str,
  source: seqio.DataSource,
  steps: Sequence[Callable],
  features: dict[str, seqio.Feature],
  *,
  build: Callable[..., seqio.Task] = seqio.Task,
) -> TaskName:
  task = build(
    name="unnamed",
    source=source,
    preprocessors=steps,
    output_features=features,
  )
  number = len(seqio.TaskRegistry.names())
  name = f"{kind}_{number}"
  seqio.TaskRegistry.add_provider(name, task)
  return name
