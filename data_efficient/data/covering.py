# SPDX-License-Identifier: Apache-2.0
"""Kernels and a budget to a selection: the road of submodular selection.

The verb `select` follows a `Recipe`. What it writes is a selection like any
other; its summary says how good the set is (`cover.Chosen`).
"""

import dataclasses
import functools
import pathlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Int64

from data_efficient.data import (
  artifacts,
  example_records,
  pair_sources,
  prepared,
  score_sets,
  selecting,
  selections,
  utility_kernels,
)
from data_efficient.selection import budget as budgets
from data_efficient.selection import candidates, cover, interface, limits
from data_efficient.selection import quotas as bounds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
  """All that a submodular selection is made from.

  Attributes:
    sampler: name in tables ("delift", …).
    selector: what a set is worth, and how the best is found.
    pairs: where the kernels come from.
    budget: how much is kept; of examples, or of tokens (a knapsack: at most so
      many).
    seed: of the stochastic maximiser.
    corpus: what the examples are records of; only its pool can be kept. None:
      the records that the kernel names, all of them.
    token_counts: directory of the corpus's token counts, for a budget of
      tokens.
    quotas: bounds on what each source (or file, "shard") has of a budget of
      examples; None: none.
  """

  sampler: str
  selector: cover.Cover
  pairs: pair_sources.Utilities | pair_sources.Cosines
  budget: budgets.Budget
  seed: int
  corpus: prepared.Prepared | None = None
  token_counts: str | None = None
  quotas: bounds.Quotas | None = None

  @functools.cached_property
  def identity(self) -> dict[str, Any]:
    """The identity of the selection."""
    found = {
      "corpus": self._described,
      "sampler": self.sampler,
      "selector": self.selector.name,
      "settings": self.selector.settings,
      "pairs": self.pairs.identity(),
      "budget": self.budget.describe(),
      "seed": self.seed,
    }
    if self.corpus:
      found["pool"] = self.corpus.splits.pool.selection.identity
    if self.token_counts:
      found["token_counts"] = self._counts.identity["scorer"]
    if self.quotas:
      found["quotas"] = self.quotas.describe()
    return found

  def select(self, output: artifacts.PathLike) -> selections.Selection:
    """Makes the selection, unless it is there already.

    Args:
      output: its directory.

    Raises:
      ArtifactError: another selection lies there, or a kernel is damaged or of
        another corpus.
      SelectionError: a budget or quotas that cannot be met, or kernels that
        the objective cannot be made of.
    """
    output = pathlib.Path(output)
    return selecting.once(output, self.identity, lambda: self._made(output))

  def _made(self, output: pathlib.Path) -> selections.Selection:
    examples = self._examples()
    chosen, facts = self._chosen(examples)
    kept = chosen.examples
    facts |= {
      "kept_records": len(kept),
      "kept_fraction": len(kept) / max(facts["records"], 1),
      "cover": chosen.facts,
    }
    shards = np.array(examples.shard, object)[kept]
    positions = examples.position[kept]
    if self.corpus:
      facts["sources"] = self._sources(shards, positions)
    return selections.write(
      output,
      identity=self.identity,
      kept=_by_shard(shards, positions),
      shards=self._described["shards"],
      summary=lambda: facts,
    )

  def _chosen(
    self, examples: pair_sources.Examples
  ) -> tuple[cover.Chosen, dict]:
    found = self.pairs.pairs(self.selector.objective, examples)
    count = len(examples.shard)
    records = self._records
    facts = {"records": records, "scorable_records": count}
    if self.budget.kind in budgets.OF_TOKENS:
      tokens, total = example_records.tokens(
        examples, self.corpus, self._counts
      )
      wanted = self._wanted(records, count, total, int(tokens.sum()))
      purse = limits.Purse(tokens, wanted)
      chosen = self.selector.buy(found.kernel, found.beside, purse=purse)
      kept = int(tokens[chosen.examples].sum())
      facts |= {
        "tokens": total,
        "kept_tokens": kept,
        "kept_token_fraction": kept / max(total, 1),
      }
      return chosen, facts
    wanted = self._wanted(records, count, records, count)
    chosen = self.selector.choose(
      found.kernel,
      found.beside,
      count=wanted,
      seed=self.seed,
      groups=self._groups(examples, wanted),
    )
    return chosen, facts

  def _wanted(
    self, records: int, count: int, amount: int, available: int
  ) -> int:
    totals = candidates.Totals(
      records=records, scorable=count, amount=amount, available=available
    )
    return budgets.wanted(self.budget, totals)

  @functools.cached_property
  def _described(self) -> dict[str, Any]:
    """The corpus; without one, the records that the kernel names."""
    if self.corpus:
      return self.corpus.index.describe()
    return example_records.described(self._axis)

  @property
  def _axis(self) -> utility_kernels.Axis:
    if not isinstance(self.pairs, pair_sources.Utilities):
      raise interface.SelectionError(
        "embeddings are of a corpus: bind CORPUS (such as gin/data/files.gin)"
      )
    return self.pairs.axis()

  @functools.cached_property
  def _records(self) -> int:
    """Records that a fraction of examples is of."""
    if not self.corpus:
      return self._described["records"]
    return self.corpus.splits.pool.selection.records

  @functools.cached_property
  def _counts(self) -> score_sets.ScoreSet | None:
    if not self.token_counts:
      return None
    found = score_sets.ScoreSet.open(self.token_counts)
    found.check_corpus(self._described)
    return found

  def _examples(self) -> pair_sources.Examples:
    if isinstance(self.pairs, pair_sources.Utilities):
      return self.pairs.examples(
        example_records.allowed(self._axis, self.corpus)
      )
    if not self.corpus:
      self._axis  # noqa: B018 (says what is missing)
    return self.pairs.examples(self.corpus)

  def _groups(
    self, examples: pair_sources.Examples, wanted: int
  ) -> limits.Groups | None:
    if not self.quotas:
      return None
    labels = example_records.labels(examples, self.corpus, self.quotas.label)
    names = list(dict.fromkeys(labels))
    numbers = {name: number for number, name in enumerate(names)}
    codes = np.array([numbers[label] for label in labels], np.int64)
    available = np.bincount(codes).tolist()
    found = [self.quotas.bounds(name, wanted) for name in names]
    bounds.check(names, self.quotas, wanted, available, found)
    least, most = zip(*found, strict=True)
    return limits.Groups(codes, least=least, most=most, count=wanted)

  def _sources(
    self, shards: np.ndarray, positions: Int64[np.ndarray, " k"]
  ) -> dict[str, int]:
    found: Counter[str] = Counter()
    for shard, some, _ in _by_shard(shards, positions):
      found.update(self.corpus.index.source_counts(shard, some))
    return dict(sorted(found.items()))


def lines(facts: dict) -> list[str]:
  """What is printed of a set: `cover.Chosen.facts` in words."""
  name = facts["objective"]
  text = f"  {name} {facts['value']:,.6g}"
  if facts["certificate"] is not None:
    text += f", at least {facts['certificate']:.4f} of the best set's"
  found = [text]
  if facts["without_gain"]:
    found.append(
      f"  {facts['without_gain']:,} of them add nothing: {name} is saturated; "
      f"they are taken in the order {facts['tail']!r}"
    )
  if "without_groups" in facts:
    without = facts["without_groups"]
    found.append(
      f"  quotas: they cost {without['cost']:.2%} of {name}, which is "
      f"{without['value']:,.6g} without them"
    )
  if "spent" in facts:
    found.append(f"  spent {facts['spent']:,} tokens, by {facts['rule']}")
  return found


def _by_shard(
  shards: np.ndarray, positions: Int64[np.ndarray, " k"]
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
  for shard in sorted(set(shards.tolist())):
    kept = np.sort(positions[shards == shard])
    yield shard, kept, np.ones(len(kept))
