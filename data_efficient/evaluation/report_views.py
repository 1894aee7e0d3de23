# SPDX-License-Identifier: Apache-2.0
"""Results of several networks, a view each: runs of one never meet another's.

A view has the form of `results.json` with one network's runs and samplers, so
that whatever draws one network draws each of several.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from data_efficient.evaluation import names


class View(NamedTuple):
  """One network of the results.

  `title` and `suffix` (of keys that must be unique) are empty where there is
  nothing to tell apart.
  """

  network: str | None
  title: str
  suffix: str
  results: Mapping


def views(results: Mapping) -> list[View]:
  """A view a network, the smallest first; old files have one without a name."""
  found = networks(results)
  if len(found) < 2:
    return [View(next(iter(found), None), "", "", results)]
  return [
    View(network, title, f"-{index}" * (index > 0), _only(results, network))
    for index, (network, title) in enumerate(found.items())
  ]


def networks(results: Mapping) -> dict[str | None, str]:
  """Network -> its name with its size in words, the smallest first."""
  sizes = {entry["network"]: entry for entry in results.get("networks") or ()}
  used = dict.fromkeys(row.get("network") for row in results["samplers"])

  def parameters(network: str | None) -> float | int:
    return sizes.get(network, {}).get("non_embedding_parameters") or 0

  return {
    network: _title(network, parameters(network))
    for network in sorted(used, key=parameters)
  }


def _title(network: str | None, parameters: float | int) -> str:
  name = network or "the network"
  if not parameters:
    return name
  size = names.parameters_text(parameters)
  if not name[0].isdigit():
    return f"{name} ({size} parameters without embeddings)"
  # Called by all of its parameters.
  rest = "" if name == size else f", {size} without embeddings"
  return f"{name} parameters{rest}"


def _only(results: Mapping, network: str | None) -> dict:
  """The results of one network, with its own target, steps and seconds."""
  runs = _of(results["runs"], network)
  targets = results.get("targets") or {}
  seconds = [run["training_seconds"] for run in runs]
  training = {
    "runs": [
      {key: run[key] for key in ("sampler", "budget", "seed")}
      | {"seconds": run["training_seconds"]}
      for run in runs
    ],
    "mean": sum(seconds) / len(seconds) if seconds else None,
    "total": sum(seconds),
  }
  return {
    **results,
    "runs": runs,
    "samplers": _of(results["samplers"], network),
    "target": {**results["target"], **(targets.get(network) or {})},
    "steps": max((run["steps"][-1] for run in runs), default=results["steps"]),
    "training_seconds": training,
  }


def _of(rows: Sequence[Mapping], network: str | None) -> list[Mapping]:
  return [row for row in rows if row.get("network") == network]


def budgets(results: Mapping) -> list[float | int]:
  """Budgets of the samplers, Full aside, ascending."""
  found = {
    s["budget"] for s in results["samplers"] if s["sampler"] != names.FULL
  }
  return sorted(found - {None})


def at_budget(results: Mapping, budget: float | int) -> dict:
  """The results of one budget, with Full beside it."""

  def kept(row: Mapping) -> bool:
    return row["sampler"] == names.FULL or row["budget"] == budget

  return {
    **results,
    "runs": list(filter(kept, results["runs"])),
    "samplers": list(filter(kept, results["samplers"])),
  }
