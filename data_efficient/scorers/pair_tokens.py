# SPDX-License-Identifier: Apache-2.0
"""Records to the tokens of their parts of a pair, cut by fixed rules.

An example is cut to `max_example_tokens`, whatever the target. An answer is
never cut, nor a query: a target that does not fit into the rest of the window
is unscorable. (Cut on the right as a whole, as in DELIFT's public code, a long
example pushes the answer out, and what cannot be predicted wrongly is perfect.)
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data_efficient.models.tokenizers import Tokenizer
from data_efficient.scorers import batching, defences, questions
from data_efficient.scorers.templates import Instruction, Template


class Example(NamedTuple):
  """What stands before a query.

  Attributes:
    tokens: header and example, at most `max_example_tokens`.
    reason: why it is unscorable; None where it is not.
    cut: whether there was more of it.
  """

  tokens: list[int]
  reason: str | None
  cut: bool = False


class Target(NamedTuple):
  """What is asked, and the answer.

  Attributes:
    query: tokens after an example.
    query_alone: tokens without one.
    answer: tokens that are predicted.
    reason: why it is unscorable; None where it is not.
  """

  query: list[int]
  query_alone: list[int]
  answer: list[int]
  reason: str | None


class TargetBatch(NamedTuple):
  """Some targets of like length, at most r of them.

  Attributes:
    numbers: which ones.
    queries: their tokens.
    answers: tokens, padded with −1, int32 [r, a].
    length: that rows are padded to.
  """

  numbers: list[int]
  queries: list[list[int]]
  answers: np.ndarray
  length: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairTokens:
  """How records become tokens.

  Attributes:
    tokenizer: the model's.
    template: of the texts.
    max_tokens: the window: example, query and answer together; of an
      encoder–decoder example and query, and the answer for itself.
    max_example_tokens: of the window, what is kept for examples.
    decoder_only: whether one row holds all; otherwise an end-of-sequence
      follows the query.
  """

  tokenizer: Tokenizer
  template: Template
  max_tokens: int
  max_example_tokens: int
  decoder_only: bool

  def __post_init__(self):
    """Raises ValueError for lengths that leave no room."""
    if not 0 < self.max_example_tokens < self.max_tokens:
      raise ValueError(
        f"max_example_tokens = {self.max_example_tokens} of a window of "
        f"{self.max_tokens}: expected at least 1, and fewer than max_tokens"
      )
    blank = self._fill("example", Instruction("", ""))
    header = len(self._begin) + len(self.tokenizer.encode(blank))
    for part, count in (("alone", len(self.alone)), ("example", header)):
      if count > self.max_example_tokens:
        raise ValueError(
          f"the template's `{part}` has {count} tokens without a record: raise "
          f"max_example_tokens = {self.max_example_tokens}"
        )

  @property
  def room(self) -> int:
    """Tokens of the window that a target may have."""
    return self.max_tokens - self.max_example_tokens

  @functools.cached_property
  def alone(self) -> list[int]:
    """What stands before a query that has no example."""
    return [*self._begin, *self.tokenizer.encode(self.template.alone)]

  @property
  def _begin(self) -> tuple[int, ...]:
    return self.tokenizer.begin_ids if self.decoder_only else ()

  def example(self, instruction: Instruction) -> Example:
    """A record as an example, cut."""
    if not instruction.response.strip():
      return Example([], "empty response")
    room = self.max_example_tokens
    text = self._fill("example", instruction)
    # One more than is kept, to see whether there is more.
    pieces = questions.head(self.tokenizer, text, room + 1)
    tokens = [*self._begin, *pieces]
    return Example(tokens[:room], None, cut=len(tokens) > room)

  def target(self, instruction: Instruction) -> Target:
    """A record as a target, whole or unscorable."""
    if not instruction.response.strip():
      return Target([], [], [], "empty response")
    query, query_alone, answer = (
      self._pieces(part, instruction)
      for part in ("query", "query_alone", "answer")
    )
    if self.decoder_only:
      longest = max(len(query), len(query_alone)) + len(answer)
    else:
      longest = max(len(query), len(query_alone), len(answer))
    reason = None
    if not answer:
      reason = "empty response"
    elif not query or not query_alone:
      reason = "empty query"
    elif longest > self.room:
      reason = "too long"
    if reason:
      return Target([], [], [], reason)
    return Target(query, query_alone, answer, None)

  def _pieces(self, part: str, instruction: Instruction) -> list[int]:
    """All pieces of a part, or so many that it cannot fit."""
    text = self._fill(part, instruction)
    ends = part == "answer" and self.template.ends
    if part != "answer" and not self.decoder_only:
      ends = True
    pieces = questions.head(self.tokenizer, text, self.room + 1)
    return [*pieces, self.tokenizer.eos_id] if ends else pieces

  def _fill(self, part: str, instruction: Instruction) -> str:
    return defences.whole_characters(self.template.fill(part, instruction))


class TargetLengths(batching.Buckets):
  """Few lengths: `step` times 1, 2, 3, 4, 6, 8, 12, 16, 24, and so on.

  Each is a shape to compile for every length of examples; a target is padded
  by less than half of it, on average by a sixth.
  """

  def length(self, tokens: int) -> int:
    """The padded length; see `batching.Buckets.length`."""
    steps = super().length(tokens) // self.step
    power = 1 << (steps - 1).bit_length()
    fewer = power * 3 // 4
    return self.step * (fewer if steps <= fewer else power)


class ExampleLengths(batching.Buckets):
  """Fewer still: the longest, a quarter of it, a sixteenth, and so on.

  An example is read once for many targets, which then look past its padding:
  that costs a few percent, and a compiler's minute for each length more.
  """

  def length(self, tokens: int) -> int:
    """The padded length; see `batching.Buckets.length`."""
    least = super().length(tokens)
    found = super().length(self.longest)
    while (shorter := super().length(-(-found // 4))) >= least and (
      shorter < found
    ):
      found = shorter
    return found


def batches(
  targets: Sequence[Target],
  *,
  alone: bool,
  decoder_only: bool,
  buckets: batching.Buckets,
) -> list[TargetBatch]:
  """Targets in batches of few shapes.

  Answers of one length stand together, and are padded to a quarter of the
  row's length, or two, three, four of them.

  Args:
    targets: all; unscorable ones are left out.
    alone: whether there is no example before them.
    decoder_only: whether query and answer share a row, which is then as long
      as both, less the last token, after which nothing is asked.
    buckets: of a row's tokens, or of the query's.
  """

  def query(target: Target) -> list[int]:
    return target.query_alone if alone else target.query

  def length(number: int) -> int:
    target = targets[number]
    own = len(query(target))
    return own + len(target.answer) - 1 if decoder_only else own

  scorable = [n for n, target in enumerate(targets) if target.reason is None]
  scorable.sort(
    key=lambda n: (buckets.length(length(n)), len(targets[n].answer))
  )
  found = []
  for made in buckets.batches([length(n) for n in scorable]):
    numbers = [scorable[item] for item in made.items]
    longest = max(len(targets[n].answer) for n in numbers)
    quarter = -(-made.length // 4)
    if decoder_only:
      wide = -(-longest // quarter) * quarter
    else:
      wide = -(-longest // buckets.step) * buckets.step
    answers = [targets[n].answer for n in scorable]
    found.append(
      TargetBatch(
        numbers,
        [query(targets[n]) for n in numbers],
        batching.padded(answers, made, length=wide, padding=-1),
        made.length,
      )
    )
  return found
