# SPDX-License-Identifier: Apache-2.0
"""Examples that teach a small T5 to answer the Ask-LLM prompt.

Where no instruction-tuned checkpoint is at hand, a stand-in judge is taught
the answer: "yes" for passages of a reference set of well-edited text, "no"
for damaged passages and for passages of the unlabelled pool. The prompt
carries no knowledge for such a judge; it is a classifier that speaks.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from data_efficient.data import damage
from data_efficient.scorers import ask_llm

Example = tuple[list[int], list[int]]


def examples(
  *,
  question: ask_llm.Question,
  reference: Sequence[str],
  pool: Sequence[str],
  count: int,
  share_of_yes: float,
  share_of_damage: float,
  seed: int,
) -> Iterator[Example]:
  """Yields `count` (input ids, answer ids), the same for the same seed.

  Args:
    question: the prompt that the judge will be asked.
    reference: well-edited texts.
    pool: unlabelled texts.
    count: examples.
    share_of_yes: probability of an intact reference text.
    share_of_damage: among the others, probability that it is a damaged
      text (half of them of the reference, half of the pool) and not one of
      the pool as it is.
    seed: of the order, the cuts and the damage.
  """
  generator = np.random.default_rng(seed)
  positive, negative = question.answers
  for _ in range(count):
    source = reference
    is_yes = generator.random() < share_of_yes
    is_damaged = not is_yes and generator.random() < share_of_damage
    if not is_yes and not (is_damaged and generator.random() < 0.5):
      source = pool
    text = _passage(source[generator.integers(len(source))], generator)
    if is_damaged:
      text = damage.damaged(text, generator)
    answer = positive if is_yes else negative
    yield question.input_ids(question.document(text)), list(answer)


def _passage(text: str, generator: np.random.Generator) -> str:
  """Half of the time the head, else from a random line or sentence on.

  A judge sees heads only when it scores; other starts are more text to learn
  from.
  """
  if generator.random() < 0.5:
    return text
  starts = [
    index + 1
    for index, letter in enumerate(text[: len(text) // 2])
    if letter in "\n."
  ]
  return text[starts[generator.integers(len(starts))] :] if starts else text
