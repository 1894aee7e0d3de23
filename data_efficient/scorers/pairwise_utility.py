# SPDX-License-Identifier: Apache-2.0
"""What each example is worth for each target, exactly (DELIFT's utility).

  U[target i, example j] = d(y_i | x_i) − d(y_i | x_j, y_j, x_i)

Teacher-forced, over the answer's tokens, softmax in float32 (Agarwal et al.,
arXiv 2411.04425, Section 3.1). n targets cost n passes without an example, and
each example one pass over itself; a pair costs the target's tokens alone.
"""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import numpy as np

from data_efficient.kernels import utility
from data_efficient.models import decoder
from data_efficient.models.tokenizers import Tokenizer
from data_efficient.scorers import judges, pair_steps, pair_tokens
from data_efficient.scorers.pair_tokens import Example, Target
from data_efficient.scorers.templates import Instruction, Template

Advance = Callable[[int], None]


@dataclasses.dataclass(kw_only=True)
class PairwiseUtility:
  """Computes utilities by a model.

  Attributes:
    judge: the model.
    tokenizer: the model's.
    template: how a pair becomes text.
    distance: of a prediction from the answer: a `utility.Distance`.
    max_tokens: the window: example, query and answer.
    max_example_tokens: what an example is cut to, whatever the target.
    length_step: lengths are padded to a multiple of it, and to few of these:
      see `pair_tokens.TargetLengths` and `ExampleLengths`.
    batch_tokens: tokens of targets in one step, padding included.
    examples_at_once: examples that share a step, raised to a multiple of the
      devices that share rows: more where there are few targets.
    name: in tables.
  """

  judge: judges.Judge
  tokenizer: Tokenizer
  template: Template
  distance: str
  max_tokens: int
  max_example_tokens: int
  length_step: int
  batch_tokens: int
  examples_at_once: int
  name: str = "pairwise_utility"

  def __post_init__(self):
    """Raises ValueError where model, vocabulary and lengths do not fit."""
    distances = [str(one) for one in utility.Distance]
    if self.distance not in distances:
      raise ValueError(
        f"distance = {self.distance!r}: expected one of {distances}"
      )
    if self.examples_at_once < 1:
      raise ValueError(
        f"examples_at_once = {self.examples_at_once}: expected at least 1"
      )
    judges.check_vocabulary(self.judge, self.tokenizer)
    self._tokens = pair_tokens.PairTokens(
      tokenizer=self.tokenizer,
      template=self.template,
      max_tokens=self.max_tokens,
      max_example_tokens=self.max_example_tokens,
      decoder_only=self.judge.decoder_only,
    )
    devices = self.judge.rows_multiple
    self._together = -(-self.examples_at_once // devices) * devices
    self._targets = pair_tokens.TargetLengths(
      longest=self._tokens.room,
      step=self.length_step,
      batch_tokens=max(self.batch_tokens // self._together, 1),
    )
    self._examples = pair_tokens.ExampleLengths(
      longest=self.max_example_tokens,
      step=self.length_step,
      batch_tokens=self.batch_tokens,
    )
    shared = isinstance(self.judge.network, decoder.DecoderConfig)
    kind = pair_steps.SharedPrefixes if shared else pair_steps.WholeRows
    distance = utility.Distance(self.distance)
    self._steps = kind(self.judge, distance, self._examples)

  def identity(self) -> dict:
    """All that a utility depends on, JSON-able."""
    return {
      "name": self.name,
      "judge": self.judge.identity(),
      "vocabulary": self.tokenizer.fingerprint,
      "template": dataclasses.asdict(self.template),
      "distance": str(self.distance),
      "max_tokens": self.max_tokens,
      "max_example_tokens": self.max_example_tokens,
      "length_step": self.length_step,
      "batch_tokens": self.batch_tokens,
      "examples_at_once": self.examples_at_once,
      "devices": self.judge.layout(),
    }

  def example(self, instruction: Instruction) -> Example:
    """A record as an example, cut; or why it cannot be one."""
    return self._tokens.example(instruction)

  def target(self, instruction: Instruction) -> Target:
    """A record as a target; or why it cannot be one."""
    return self._tokens.target(instruction)

  def alone(self, targets: Sequence[Target]) -> np.ndarray:
    """d(y_i | x_i) of each target, float32 [n]; nan for the unscorable."""
    nobody = [Example(self._tokens.alone, None)]
    return self._distances(targets, nobody, alone=True, advance=None)[:, 0]

  def block(
    self,
    targets: Sequence[Target],
    examples: Sequence[Example],
    alone: np.ndarray,
    advance: Advance | None = None,
    *,
    before: Sequence[int] = (),
  ) -> np.ndarray:
    """U of all their pairs, float32 [targets, examples].

    nan where a target or an example is unscorable, and where the model's
    probabilities are no numbers.

    Args:
      targets: n of them.
      examples: m of them.
      alone: what `alone` says of these targets.
      advance: told of pairs as they are done.
      before: tokens that stand before every example; read once.
    """
    given = self._distances(
      targets, examples, alone=False, advance=advance, before=before
    )
    return np.asarray(utility.utilities(alone, given))

  def _distances(
    self,
    targets: Sequence[Target],
    examples: Sequence[Example],
    *,
    alone: bool,
    advance: Advance | None,
    before: Sequence[int] = (),
  ) -> np.ndarray:
    """d of all pairs, [targets, examples]."""
    found = np.full((len(targets), len(examples)), np.nan, np.float32)
    batches = pair_tokens.batches(
      targets,
      alone=alone,
      decoder_only=self.judge.decoder_only,
      buckets=self._targets,
    )
    waiting = None
    with self.judge.devices():
      placed = [self._steps.place(made) for made in batches]
      begun = self._steps.begin(before)
      for columns in self._groups(examples):
        past = self._steps.read(
          [examples[column].tokens for column in columns],
          self._together,
          begun,
        )
        running = [self._steps.distances(past, batch) for batch in placed]
        # The devices have the next group before this one is waited for.
        if waiting:
          self._collect(found, batches, *waiting, advance)
        waiting = columns, running
      if waiting:
        self._collect(found, batches, *waiting, advance)
    return found

  def _groups(self, examples: Sequence[Example]) -> list[list[int]]:
    """Scorable examples of like length, as many as are read at once."""
    scorable = [n for n, one in enumerate(examples) if one.reason is None]
    by_length: dict[int, list[int]] = {}
    for number in scorable:
      length = self._examples.length(len(examples[number].tokens))
      by_length.setdefault(length, []).append(number)
    return [
      numbers[start : start + self._together]
      for _, numbers in sorted(by_length.items())
      for start in range(0, len(numbers), self._together)
    ]

  def _collect(self, found, batches, columns, running, advance) -> None:
    for made, distances in zip(batches, running, strict=True):
      values = jax.device_get(distances)
      kept = values[: len(columns), : len(made.numbers)]
      found[np.ix_(made.numbers, columns)] = kept.T
      if advance:
        advance(kept.size)
