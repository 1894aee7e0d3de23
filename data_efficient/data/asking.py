# SPDX-License-Identifier: Apache-2.0
"""The seqio task that asks a judge about every record of a corpus.

For engines that score what a task serves (`t5x.infer`). The document is cut
before it enters the prompt, since seqio would cut the question off the end of
a longer input; no end-of-sequence follows the answer, or it would be scored.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import seqio
import tensorflow as tf

from data_efficient.data import corpora, record_source, records
from data_efficient.scorers import questions

# What an example has beside its inputs and targets.
CARRIED = ("shard", "position", "fingerprint", "answer", "document_tokens")


def task(
  *,
  corpus: corpora.Corpus,
  question: questions.Question,
  answers: Mapping[str, Sequence[int]],
) -> str:
  """Registers a task of all records, each with every answer; its name.

  Its examples are {"inputs": the prompt's ids, "targets": an answer's ids} and
  CARRIED: whose record it is, the xxh3 hash of the text that was read (the
  bits of a uint64 as int64), which answer, and how many tokens of the document
  the prompt holds: 0 for one that is blank.

  Args:
    corpus: what is read, shard by shard.
    question: what is asked, and how a document is cut for it.
    answers: word to pieces.
  """
  vocabulary = seqio.PassThroughVocabulary(
    size=question.tokenizer.size, eos_id=question.tokenizer.eos_id
  )
  feature = seqio.Feature(vocabulary, add_eos=False)
  name = f"ask_llm_{len(seqio.TaskRegistry.names())}"
  seqio.TaskRegistry.add(
    name,
    source=record_source.of(corpus, shuffle_records=1),
    preprocessors=[_asked(question), _answered(answers)],
    output_features={"inputs": feature, "targets": feature},
  )
  return name


def _asked(question: questions.Question):
  """Texts to prompts."""

  def prompt(text: bytes) -> tuple[np.ndarray, np.int32, np.int64]:
    text = text.decode("utf-8")
    document = question.document(text)
    hashed = np.uint64(records.fingerprint(text)).astype(np.int64)
    ids = np.array(question.input_ids(document), np.int32)
    return ids, np.int32(len(document)), hashed

  def example(row):
    inputs, tokens, fingerprint = tf.numpy_function(
      prompt, [row["text"]], (tf.int32, tf.int32, tf.int64)
    )
    return {
      "inputs": tf.ensure_shape(inputs, [None]),
      "document_tokens": tf.ensure_shape(tokens, []),
      "fingerprint": tf.ensure_shape(fingerprint, []),
      "shard": row["shard"],
      "position": row["position"],
    }

  def asked(dataset: tf.data.Dataset) -> tf.data.Dataset:
    return dataset.map(example)

  return asked


def _answered(answers: Mapping[str, Sequence[int]]):
  """A prompt to as many examples as there are answers."""
  words = list(answers)
  pieces = [list(answers[word]) for word in words]

  def each(row) -> tf.data.Dataset:
    targets = tf.ragged.constant(pieces, tf.int32)
    both = tf.data.Dataset.from_tensor_slices((words, targets))
    return both.map(
      lambda word, ids: {
        **row,
        "answer": word,
        "targets": tf.ensure_shape(ids, [None]),
      }
    )

  def answered(dataset: tf.data.Dataset) -> tf.data.Dataset:
    return dataset.flat_map(each)

  return answered
