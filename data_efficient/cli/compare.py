# SPDX-License-Identifier: Apache-2.0
"""The verb `compare`: selections of instructions, and what came of them."""

import collections
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from data_efficient.cli import cost
from data_efficient.data import (
  artifacts,
  instruction_overlap,
  instruction_pools,
  instructions,
  score_sets,
  utility_kernels,
)
from data_efficient.evaluation import results as result_files
from data_efficient.evaluation.tuning import (
  helpers,
  outcomes,
  results,
  same_task,
  selected,
)
from data_efficient.evaluation.tuning.kept import Kept

# Records in the report, and characters of each of their parts.
_HELPED = 6
_CHARACTERS = 600


def compare(
  *,
  corpus: instruction_pools.InstructionPool,
  experiment: str,
  methods: Sequence[str] | None,
  stages: Mapping[str, Mapping[str, str]],
  token_counts: str | None,
  helped: str | None,
  command: str,
) -> None:
  """Writes EXPERIMENT/results.json; every figure comes from files.

  Args:
    corpus: what was chosen from.
    experiment: directory with selections/, runs/ and responses/.
    methods: those that are compared; None: all that are there.
    stages: method -> stage -> directory (in the experiment) whose cost it is.
      A stage that two methods need stands with both: the sum is what a method
      would have cost alone.
    token_counts: directory of the pool's token counts; None: not known.
    helped: directory of a utility kernel whose targets or examples are the
      pool; None: the report says of no record what helps it.
    command: what reproduces the experiment.

  Raises:
    ValueError: nothing to compare (`EvaluationError`), or what is not of this
      pool (`ArtifactError`); a run that is unfinished, damaged or foreign is
      left out and named.
  """
  root = pathlib.Path(experiment)
  found = outcomes.read(root, methods)
  for kept in found.kept:
    kept.selection.check_corpus(corpus.index.describe())
  pool = _pool(corpus, token_counts)
  chosen = {kept: selected.records(pool, kept) for kept in found.kept}
  made = results.assemble(
    found,
    stages=_seconds(root, stages),
    selecting=_selecting(found.kept),
    selected=selected.describe(pool, chosen),
    same_task=_same_task(corpus.corpus, helped) if helped else None,
    helped=_helped(corpus.corpus, helped, found.kept) if helped else [],
    facts=_facts(corpus, found),
    command=command,
    commit=cost.commit(),
  )
  for entry in made["left_out"]:
    print(f"left out: {entry['directory']}: {entry['reason']}")
  result_files.write(root / "results.json", made)
  print(root / "results.json")


def _pool(
  corpus: instruction_pools.InstructionPool, token_counts: str | None
) -> selected.Pool:
  shards = corpus.index.shards
  starts = np.cumsum([0, *shards.values()]).tolist()
  records = corpus.corpus.records
  folded: dict[str, int] = {}
  prompts = [
    folded.setdefault(
      instruction_overlap.normalized(record.prompt), len(folded)
    )
    for record in records
  ]
  tokens = np.full(starts[-1], np.nan)
  if token_counts:
    counted = score_sets.ScoreSet.open(token_counts)
    counted.check_corpus(corpus.index.describe())
    columns = [counted.shard_column(shard, "score") for shard in shards]
    tokens = np.concatenate([tokens[:0], *columns]).astype(np.float64)
  return selected.Pool(
    starts=dict(zip(shards, starts, strict=False)),
    chosen_from=np.concatenate(
      [np.zeros(0, bool), *(corpus.pool_mask(shard) for shard in shards)]
    ),
    tasks=corpus.corpus.tasks,
    tokens=tokens,
    prompts=np.array(prompts, np.int64),
  )


def _seconds(
  root: pathlib.Path, stages: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, float | None]]:
  return {
    method: {stage: _measured(root / place) for stage, place in own.items()}
    for method, own in stages.items()
  }


def _measured(directory: artifacts.PathLike) -> float | None:
  return cost.seconds(directory) if cost.is_measured(directory) else None


def _selecting(kept: Sequence[Kept]) -> dict[str, float | None]:
  """Method -> mean seconds of a selection; None where one has none."""
  found = collections.defaultdict(list)
  for each in kept:
    found[each.key.method].append(_measured(each.selection.directory))
  return {
    method: None if None in seconds else sum(seconds) / len(seconds)
    for method, seconds in found.items()
  }


def _helped(
  records: instructions.Instructions, directory: str, kept: Sequence[Kept]
) -> list[dict[str, Any]]:
  """Chosen records of the kernel's targets, and what helps them most.

  Where the targets are none of the pool, targets at large.
  """
  kernel = utility_kernels.UtilityKernel.open(directory)
  first = min((each.key.seed for each in kept), default=0)
  least = min((each.key.budget for each in kept), default=1.0)
  sets = {
    each.key.method: each.selection
    for each in kept
    if each.key.seed == first and each.key.budget == least
  }
  axes = kernel.targets, kernel.examples
  marks = [
    {
      method: helpers.among(axis, {s: found.positions(s) for s in found.shards})
      for method, found in sets.items()
    }
    for axis in axes
  ]
  own = _places(records)
  targets = np.flatnonzero(kernel.targets.scorable)
  within = [m for name, m in marks[0].items() if name != "random"]
  chosen = (
    targets[np.any([m[targets] for m in within], axis=0)]
    if within
    else targets[:0]
  )
  found = helpers.of(kernel, chosen if len(chosen) else targets)

  def described(side: int, number: int) -> dict[str, Any] | None:
    axis = axes[side]
    where = own.get((axis.files[number], int(axis.positions[number])))
    if where is None:
      return None
    record = records.records[where]
    return {
      "task": records.tasks[where],
      "prompt": record.prompt[:_CHARACTERS],
      "response": record.response[:_CHARACTERS],
      "chosen_by": [name for name, m in marks[side].items() if m[number]],
    }

  rows = []
  for each in helpers.shown(found, count=_HELPED):
    by = [
      {**(described(1, number) or {}), "utility": utility}
      for number, utility in zip(each.examples, each.utilities, strict=True)
    ]
    rows.append({"target": described(0, each.target), "by": by})
  return rows


def _same_task(
  records: instructions.Instructions, directory: str
) -> dict[str, Any] | None:
  """Whether examples of the own task help more; None without tasks."""
  kernel = utility_kernels.UtilityKernel.open(directory)
  own = _places(records)

  def tasks(axis: utility_kernels.Axis) -> list[str | None]:
    places = zip(axis.files, axis.positions.tolist(), strict=True)
    numbers = [own.get(place) for place in places]
    return [None if n is None else records.tasks[n] for n in numbers]

  return same_task.of(kernel, tasks(kernel.targets), tasks(kernel.examples))


def _places(records: instructions.Instructions) -> dict[tuple[str, int], int]:
  axis = records.axis(["scored"] * len(records.records))
  places = zip(axis.files, axis.positions.tolist(), strict=True)
  return {place: number for number, place in enumerate(places)}


def _facts(
  corpus: instruction_pools.InstructionPool, found: outcomes.Found
) -> dict[str, Any]:
  """Of the pool, the base and the runs."""
  runs = [each.run for each in found.outcomes if each.run]
  facts = {
    "pool_files": len(corpus.index.shards),
    "pool_fingerprint": corpus.index.fingerprint,
  }
  for name in ("initial_checkpoint", "engine", "batch_size"):
    values = sorted({json.dumps(run.get(name)) for run in runs})
    if len(values) == 1:
      facts[name] = json.loads(values[0])
  return facts
