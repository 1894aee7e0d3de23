# SPDX-License-Identifier: Apache-2.0
"""seqio tasks of few-shot prompts: a choice, or an answer, an example."""

from collections.abc import Sequence

import seqio
import tensorflow as tf

from data_efficient.data import few_shot, token_ids
from data_efficient.models import tokenizers

# Columns that say which prompt, and which of its choices, an example is.
QUESTION, CHOICE = "question", "choice"


def register(
  prompts: Sequence[few_shot.Prompt],
  *,
  vocabulary: tokenizers.Tokenizer,
  choices: bool,
  begin_ids: Sequence[int] = (),
) -> str:
  """Registers the prompts that fit their window; returns the task's name.

  Args:
    prompts: what is asked.
    vocabulary: whose ids they are; end-of-sequence is added to the targets.
    choices: whether a prompt is an example for each of its choices, and not
      one with its answer.
    begin_ids: what stands before every prompt.
  """
  rows = []
  for number, prompt in enumerate(prompts):
    if prompt.ids is None:
      continue
    question = prompt.question
    answers = question.choices if choices else (question.shown,)
    for choice, answer in enumerate(answers):
      targets = [*vocabulary.encode(answer), vocabulary.eos_id]
      rows.append(((*begin_ids, *prompt.ids), targets, number, choice))

  def dataset(split, shuffle_files, seed=None) -> tf.data.Dataset:
    del split, shuffle_files, seed
    names = ("inputs", "targets", QUESTION, CHOICE)
    ids, number = tf.TensorSpec((None,), tf.int32), tf.TensorSpec((), tf.int64)
    return tf.data.Dataset.from_generator(
      lambda: (dict(zip(names, row, strict=True)) for row in rows),
      output_signature=dict(
        zip(names, (ids, ids, number, number), strict=True)
      ),
    )

  feature = seqio.Feature(token_ids.vocabulary(vocabulary), add_eos=True)
  name = f"few_shot_{len(seqio.TaskRegistry.names())}"
  seqio.TaskRegistry.add(
    name,
    source=seqio.FunctionDataSource(dataset, splits=("train",)),
    preprocessors=[],
    output_features={"inputs": feature, "targets": feature},
  )
  return name
