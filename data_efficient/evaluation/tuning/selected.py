# SPDX-License-Identifier: Apache-2.0
"""What each selection consists of, and how far two of them are the same.

Figures of a method and budget are means over its seeds.
"""

import collections
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from data_efficient.evaluation import names
from data_efficient.evaluation.tuning.kept import Kept

# Tasks in tables; the others are one line.
_TASKS = 12
OTHERS = "other tasks"


class Pool(NamedTuple):
  """The records that are chosen from, shard by shard.

  Attributes:
    starts: shard -> its first record here.
    chosen_from: which of them the pool is.
    tasks: of each record, its name.
    tokens: of each record; NaN where nobody counted.
    prompts: equal numbers for prompts that differ in case, white space and
      punctuation alone.
  """

  starts: Mapping[str, int]
  chosen_from: Bool[np.ndarray, " n"]
  tasks: Sequence[str]
  tokens: Float64[np.ndarray, " n"]
  prompts: Int64[np.ndarray, " n"]


def records(pool: Pool, kept: Kept) -> Int64[np.ndarray, " k"]:
  """The numbers of the records that a selection keeps."""
  selection = kept.selection
  found = [
    pool.starts[shard] + selection.positions(shard)
    for shard in selection.shards
    if selection.kept[shard]
  ]
  return np.concatenate([np.zeros(0, np.int64), *found])


def describe(
  pool: Pool, chosen: Mapping[Kept, Int64[np.ndarray, " k"]]
) -> dict[str, Any]:
  """What was selected; see `results`.

  Args:
    pool: what was chosen from.
    chosen: selection -> its records.
  """
  everything = np.flatnonzero(pool.chosen_from)
  counts = collections.Counter(pool.tasks[n] for n in everything.tolist())
  shown = [task for task, _ in counts.most_common(_TASKS)]
  groups = collections.defaultdict(list)
  for kept, numbers in chosen.items():
    groups[kept.key.method, kept.key.budget].append(numbers)
  rows = [
    {"method": method, "budget": budget, "seeds": len(sets)}
    | _mean([_facts(pool, numbers, shown) for numbers in sets])
    for (method, budget), sets in groups.items()
  ]
  return {
    "pool": _facts(pool, everything, shown),
    "tasks": len(counts),
    "rows": sorted(rows, key=lambda r: names.order(r["method"], r["budget"])),
    "overlap": overlap(chosen),
  }


def _facts(
  pool: Pool, numbers: Int64[np.ndarray, " k"], shown: Sequence[str]
) -> dict[str, Any]:
  count = len(numbers)
  tokens = pool.tokens[numbers]
  counts = collections.Counter(pool.tasks[n] for n in numbers.tolist())
  shares = {task: counts[task] / max(count, 1) for task in shown}
  if len(counts.keys() - {*shown}) or sum(shares.values()) < 1 - 1e-9:
    shares[OTHERS] = max(0.0, 1.0 - sum(shares.values()))
  return {
    "records": count,
    "tokens": float(tokens.sum()),
    "record_tokens": float(tokens.mean()) if count else float("nan"),
    "median_tokens": float(np.median(tokens)) if count else float("nan"),
    # Beyond the first of each prompt.
    "duplicates": count - len(np.unique(pool.prompts[numbers])),
    "tasks": shares,
  }


def _mean(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
  """Means of figures, and of shares by task."""
  tasks = dict.fromkeys(task for facts in found for task in facts["tasks"])
  plain = [name for name in found[0] if name != "tasks"]
  return {
    **{n: sum(facts[n] for facts in found) / len(found) for n in plain},
    "tasks": {
      task: sum(facts["tasks"].get(task, 0.0) for facts in found) / len(found)
      for task in tasks
    },
  }


def overlap(
  chosen: Mapping[Kept, Int64[np.ndarray, " k"]],
) -> list[dict[str, Any]]:
  """Jaccard's |A ∩ B| / |A ∪ B| of methods, a table a budget.

  Between two methods the mean over pairs of equal seeds; of a method with
  itself that over pairs of its seeds, null of one seed. The full data are left
  out: everything is a part of them.
  """
  budgets = collections.defaultdict(lambda: collections.defaultdict(dict))
  for kept, numbers in chosen.items():
    method, budget, seed = kept.key
    if method != names.FULL:
      budgets[budget][method][seed] = numbers
  tables = []
  for budget in sorted(budgets):
    methods = sorted(budgets[budget], key=lambda m: names.order(m, budget))
    sets = [budgets[budget][method] for method in methods]
    size = len(sets)
    found = [
      [_alike(sets[a], sets[b], a == b) for b in range(size)]
      for a in range(size)
    ]
    tables.append({"budget": budget, "methods": methods, "jaccard": found})
  return tables


def _alike(
  first: Mapping[int, np.ndarray], second: Mapping[int, np.ndarray], same: bool
) -> float | None:
  if same:
    pairs = list(itertools.combinations(first.values(), 2))
  else:
    pairs = [(first[seed], second[seed]) for seed in first if seed in second]
  found = [jaccard(*pair) for pair in pairs]
  return sum(found) / len(found) if found else None


def jaccard(
  first: Int64[np.ndarray, " k"], second: Int64[np.ndarray, " l"]
) -> float:
  """|A ∩ B| / |A ∪ B| of two sets of different numbers; 1 of two empty ones."""
  both = len(np.intersect1d(first, second, assume_unique=True))
  either = len(first) + len(second) - both
  return both / either if either else 1.0
