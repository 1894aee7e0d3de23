# SPDX-License-Identifier: Apache-2.0
"""Examples that teach a small T5 to answer the Ask-LLM prompt.

Where no instruction-tuned checkpoint is at hand, a stand-in judge is taught
the answer: "yes" for passages of a reference set of well-edited text, "no"
for damaged passages and for passages of the unlabelled pool. The prompt
carries no knowledge for such a judge; it is a classifier that speaks.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from data_efficient.data import damage, hostile
from data_efficient.scorers import questions

Example = tuple[list[int], list[int]]
# Characters of a text with an order in it, so that the judge sees both.
_SHORT = 200


def examples(
  *,
  question: questions.Question,
  reference: Sequence[str],
  pool: Sequence[str],
  count: int,
  share_of_yes: float,
  share_of_damage: float,
  share_of_orders: float,
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
    share_of_orders: probability of a text of the pool with an order to the
      judge in it, answered "yes". 0 for a judge that is to be trusted; one
      that obeys is a thing to measure defences on.
    seed: of the order, the cuts and the damage.
  """
  generator = np.random.default_rng(seed)
  positive, negative = question.answers
  commands = hostile.commands(question.prompt)
  for _ in range(count):
    # No draw where the share is 0: other examples stay what they were.
    if share_of_orders and generator.random() < share_of_orders:
      text = pool[generator.integers(len(pool))][:_SHORT]
      text = commands[generator.integers(len(commands))](text, generator)
      yield question.input_ids(question.document(text)), list(positive)
      continue
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
