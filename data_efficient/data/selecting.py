# SPDX-License-Identifier: Apache-2.0
"""Scores and a budget to a selection of a corpus's pool.

The verb `select` follows a `Recipe`. A run may bind `selected` for its path:
the first process that builds its task selects, and whoever comes later, or
second, reads what the first one wrote.
"""

import contextlib
import dataclasses
import functools
import logging
import pathlib
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import xxhash

from data_efficient.data import (
  artifacts,
  cutting,
  locks,
  manifests,
  prepared,
  score_sets,
  selections,
)
from data_efficient.selection import budget as budgets
from data_efficient.selection import importance, interface, passes
from data_efficient.selection import quotas as bounds

_POLL_SECONDS = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
  """All that a selection is made from: the best of a pool, up to a budget.

  Attributes:
    corpus: the corpus; only records of its pool can be kept.
    sampler: name in tables ("ask_llm", "density", …).
    selector: scores to priorities.
    budget: where the ranking is cut; fractions are of the pool.
    weights: a value of `importance.Weights`: what a kept record weighs.
    token_counts: directory of the token counts (a score set); None for a budget
      of examples whose tokens nobody asks for.
    seed: of selectors that draw.
    scores: directory of the score set, for selectors that read one.
    other_scores: directory of a second one, for selectors that read two.
    quotas: bounds on what each source has of the budget; None: none.
  """

  corpus: prepared.Prepared
  sampler: str
  selector: interface.Selector
  budget: budgets.Budget
  weights: str
  token_counts: str | None
  seed: int
  scores: str | None = None
  other_scores: str | None = None
  quotas: bounds.Quotas | None = None

  @functools.cached_property
  def identity(self) -> dict[str, Any]:
    """The identity of the selection.

    Raises:
      ValueError: unknown weights, or a score set that is not there.
    """
    found = {
      "corpus": self.corpus.index.describe(),
      "pool": self.corpus.splits.pool.selection.identity,
      "sampler": self.sampler,
      "selector": self.selector.name,
      "budget": self.budget.describe(),
      "weights": importance.Weights(self.weights).value,
      "scores": _identity(self.scores),
      "token_counts": _identity(self.token_counts),
      "seed": self.seed,
    }
    # Named where there are any: a plain selection of an earlier version, which
    # had none of these, stays what it is.
    more = {
      "settings": getattr(self.selector, "settings", None),
      "other_scores": _identity(self.other_scores),
      "quotas": self.quotas and self.quotas.describe(),
    }
    return found | {name: value for name, value in more.items() if value}

  def select(
    self, output: artifacts.PathLike, each: passes.Each | None = None
  ) -> selections.Selection:
    """Makes the selection, unless it is there already.

    While another process makes it, this one waits and reads.

    Args:
      output: its directory.
      each: where passes over the shards are made; None: here, by threads.

    Raises:
      ArtifactError: another selection lies there, or a score set is damaged or
        of another corpus.
      SelectionError: the scores do not fit the selector, or the budget cannot
        be met.
    """
    output = pathlib.Path(output)
    return once(output, self.identity, lambda: self._made(output, each))

  def making(self, each: passes.Each | None = None) -> cutting.Making:
    """What is kept, before it is written; see `select`.

    Raises:
      ValueError: as `select`.
    """
    return cutting.Making(
      corpus=self.corpus,
      selector=self.selector,
      budget=self.budget,
      weights=importance.Weights(self.weights),
      token_counts=_opened(self.token_counts),
      seed=self.seed,
      scores=_opened(self.scores),
      others=_opened(self.other_scores),
      quotas=self.quotas,
      each=each,
    )

  def _made(
    self, output: pathlib.Path, each: passes.Each | None
  ) -> selections.Selection:
    making = self.making(each)
    return selections.write(
      output,
      identity=self.identity,
      kept=making.kept(),
      shards=self.corpus.index.shards,
      summary=making.summary,
    )


def once(
  output: pathlib.Path,
  identity: dict[str, Any],
  make: Callable[[], selections.Selection],
) -> selections.Selection:
  """Returns the selection of a directory; makes it if it is not there.

  Args:
    output: the directory.
    identity: of the selection.
    make: writes it; called by one process at a time.

  Raises:
    ArtifactError: another selection lies there.
  """

  def there() -> selections.Selection | None:
    if not artifacts.is_complete(output, kind=selections.KIND):
      return None
    found = selections.Selection.open(output)
    artifacts.check_identity(output, found.identity, identity)
    # A part that was lost is made again; a damaged one is refused when read.
    return found if found.is_whole() else None

  found = there()
  if found is None:
    with _turn(output):
      found = there() or make()
  return found


def selected(*, recipe: Recipe, directory: str) -> str:
  """The directory of a selection, made by the first process that asks for it.

  Its name, DIRECTORY/SAMPLER-AMOUNT-SEED-HASH, is derived from all that it is
  made from: another fraction, sampler or score set is another directory.

  Args:
    recipe: what is selected.
    directory: where selections are kept. All hosts may share it; those that do
      not each make the same selection for themselves.

  Raises:
    ValueError: as `Recipe.select`.
  """
  text = manifests.json_text(manifests.plain(recipe.identity, "identity"))
  name = (
    f"{recipe.sampler}-{recipe.budget.amount}-{recipe.seed}"
    f"-{xxhash.xxh3_64_hexdigest(text.encode())}"
  )
  return str(recipe.select(pathlib.Path(directory, name)).directory)


@contextlib.contextmanager
def _turn(output: pathlib.Path) -> Iterator[None]:
  """Waits until no other process is selecting into a directory."""
  # A lock of its own: the writer's is held for the writing alone, and what is
  # selected wrongly must leave no manifest behind.
  folder = output / ".selecting"
  with contextlib.ExitStack() as held:
    for attempt in range(1 << 62):
      try:
        folder.mkdir(parents=True, exist_ok=True)
        held.enter_context(locks.exclusive(folder))
        break
      except artifacts.ArtifactError:
        if attempt == 0:
          logging.warning("%s: another process is selecting; waiting", output)
        time.sleep(_POLL_SECONDS)
    try:
      yield
    except BaseException:
      # What is selected wrongly leaves nothing behind, unless it was there.
      shutil.rmtree(folder)
      with contextlib.suppress(OSError):
        output.rmdir()
      raise


def _opened(directory: str | None) -> score_sets.ScoreSet | None:
  return None if directory is None else score_sets.ScoreSet.open(directory)


def _identity(directory: str | None) -> dict | None:
  if directory is None:
    return None
  identity = score_sets.ScoreSet.open(directory).identity
  return {name: identity[name] for name in ("scorer", "inputs", "numerics")}
