# SPDX-License-Identifier: Apache-2.0
"""What is computed of the runs of one network, beside those of the others."""

from collections.abc import Mapping, Sequence
from typing import Any

from data_efficient.evaluation import (
  comparison,
  names,
  pareto,
  run_rows,
  sampler_rows,
  scaling,
  scoring_shares,
)
from data_efficient.evaluation.measures import HQ_LOSS
from data_efficient.evaluation.model_sizes import Network
from data_efficient.evaluation.run_rows import Measured

# Of one network: sampler and budget -> runs, in the order of the report.
Groups = dict[tuple[str, float | None], list[Measured]]


def groups(
  network: Network,
  target: Mapping[str, Any],
  scoring: Mapping[str, scoring_shares.Scoring | None],
) -> Groups:
  """A network's runs by sampler and budget, in the order of the report."""
  ordered = sorted(
    network.runs,
    key=lambda run: (*names.order(run.sampler, run.budget), run.seed),
  )
  found: Groups = {}
  for run in ordered:
    each = run_rows.measure(
      run, network=network.name, target=target, scoring=scoring[run.sampler]
    )
    found.setdefault((run.sampler, run.budget), []).append(each)
  return found


def _of(groups: Groups, sampler: str) -> list[Measured]:
  """All runs of a sampler, whatever their budget."""
  return [m for key, runs in groups.items() if key[0] == sampler for m in runs]


def size_curve(
  networks: Sequence[Network], groups: Mapping[str, Groups]
) -> scaling.SizeCurve | str:
  """Full's HQ loss by size of network; the reason where there is none.

  Networks of one size that differ in something else count as one.
  """
  full: dict[int, list[Measured]] = {}
  for network in networks:
    size, runs = network.non_embedding_parameters, groups[network.name]
    if size and (found := _of(runs, names.FULL)):
      full.setdefault(size, []).extend(found)
  return scaling.size_curve(
    {n: _mean_of_runs(found) for n, found in full.items()}
  )


def _mean_of_runs(runs: Sequence[Measured]) -> float:
  return comparison.summarize([each.finals[HQ_LOSS] for each in runs]).mean


def _larger(
  network: Network,
  networks: Sequence[Network],
  groups: Mapping[str, Groups],
) -> list[Measured]:
  """Full's runs of the next larger network that was trained on all the data."""
  own = network.non_embedding_parameters
  candidates = {
    each.non_embedding_parameters: full
    for each in networks
    if own and (each.non_embedding_parameters or 0) > own
    if (full := _of(groups[each.name], names.FULL))
  }
  return candidates[min(candidates)] if candidates else []


def samplers(
  network: Network,
  networks: Sequence[Network],
  groups: Mapping[str, Groups],
  curve: scaling.SizeCurve | str,
) -> list[dict]:
  """One entry a sampler and budget, in the order of the runs."""
  own = groups[network.name]
  full = _of(own, names.FULL)
  larger = _larger(network, networks, groups)
  return [
    sampler_rows.row(
      runs,
      sampler_rows.Beside(
        random=own.get((names.RANDOM, budget), []),
        baseline=own.get((names.QUALITY_CLASSIFIER, budget), []),
        full=full,
        larger=larger,
        curve=curve,
      ),
    )
    for (_, budget), runs in own.items()
  ]


def fronts(rows: Sequence[Mapping], groups: Groups) -> dict[str, list[dict]]:
  """The points of a network's two fronts; see `pareto`.

  Args:
    rows: of its samplers.
    groups: the runs of each, in the same order.
  """
  intervals = [
    {**row, "interval": sampler_rows.hq_interval(runs)}
    for row, runs in zip(rows, groups.values(), strict=True)
  ]
  seconds = [
    None
    if row["scoring_seconds"] is None
    else row["scoring_seconds"] + row["training_seconds"]
    for row in rows
  ]
  tokens = [row["kept_tokens"] for row in rows]
  return {
    "data": pareto.points(intervals, tokens),
    "accelerator_time": pareto.points(intervals, seconds),
  }


def random_missing(groups: Mapping[str, Groups]) -> list[dict]:
  """Selections that no Random run of their network and budget stands beside."""
  return [
    {
      "network": network,
      "sampler": sampler,
      "budget": budget,
      "reason": (
        f"{names.title(sampler)} at {names.budget_text(budget)}, network "
        f"{network}: no run of Random at the same budget, so nothing says "
        "whether it beats chance; train random there"
      ),
    }
    for network, own in groups.items()
    for sampler, budget in own
    if sampler not in (names.FULL, names.RANDOM)
    and (names.RANDOM, budget) not in own
  ]
