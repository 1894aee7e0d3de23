# SPDX-License-Identifier: Apache-2.0
"""The verb `train`: a `Run` through an engine, and a record of both."""

import dataclasses
import json
import pathlib
from typing import Any

from data_efficient import gin_config, processes
from data_efficient.cli import cost
from data_efficient.data import artifacts, locks
from data_efficient.training import metrics
from data_efficient.training.run import Engine, Run

_CONFIG = "config.gin"
_FACTS = "run.json"


def train(*, run: Run, engine: Engine, facts: dict[str, Any]) -> None:
  """Trains a run to its end; does nothing when it is there.

  Leaves config.gin, metrics.jsonl, checkpoints/, and, at the end, run.json.
  Of several processes (see `processes`) the first writes all but checkpoints.

  Args:
    run: what is trained.
    engine: what trains it.
    facts: what tables say of the run: sampler, budget, selection, …

  Raises:
    ArtifactError: the directory holds a run of another configuration.
  """
  processes.join()
  directory = pathlib.Path(run.directory)
  if not processes.is_first():
    if not (directory / _FACTS).exists():
      engine.train(run)
    return
  directory.mkdir(parents=True, exist_ok=True)
  with locks.exclusive(directory):
    keep_config(directory / _CONFIG)
    if (directory / _FACTS).exists():
      print(f"{directory}: done before")
      return
    with cost.measured(directory):
      engine.train(run)
    _record(run, engine, facts)


def _record(run: Run, engine: Engine, facts: dict[str, Any]) -> None:
  directory = pathlib.Path(run.directory)
  rows = metrics.read(run.directory)
  seconds = max(row.get("seconds", 0.0) for row in rows)
  tokens = max(row.get("tokens", 0) for row in rows)
  record = {
    **facts,
    "engine": engine.name,
    "seed": run.seed,
    "steps": run.steps,
    "batch_size": run.batch_size,
    "compared_by": _compared_by(run),
    "epochs": _epochs(run, tokens, facts.get("kept_tokens")),
    "training_seconds": seconds,
    "commit": cost.commit(),
    "complete": True,
  }
  data = json.dumps(record, indent=1, sort_keys=True).encode()
  artifacts.atomic_write(directory / _FACTS, data)
  last = [row for row in rows if row["step"] == run.steps]
  losses = {r["evaluation"]: r["loss"] for r in last if "evaluation" in r}
  print(f"{directory}: {run.steps} steps, losses {losses}")


def _numerics(run: Run) -> dict[str, Any]:
  """The network, less what changes its memory alone."""
  sizes = dataclasses.asdict(run.network)
  return {name: value for name, value in sizes.items() if name != "remat"}


def _compared_by(run: Run) -> dict[str, Any]:
  """What runs must have in common for their losses to be comparable."""
  return {
    "network": _numerics(run),
    "task_feature_lengths": dict(run.task_feature_lengths),
    "evaluation_batches": run.evaluation_batches,
    **run.measured_on,
  }


def keep_config(path: pathlib.Path) -> None:
  """Writes the configuration there, or checks that it is the one there.

  Raises:
    ArtifactError: another configuration is.
  """
  config = gin_config.resolved()
  if not path.exists():
    artifacts.atomic_write(path, config.encode())
    return
  kept = path.read_text()
  if kept != config:
    old, new = set(kept.splitlines()), set(config.splitlines())
    raise artifacts.ArtifactError(
      f"{path.parent}: holds a run of another configuration: it had "
      f"{sorted(old - new)[:5]}, now {sorted(new - old)[:5]}; train in another "
      "directory, or remove this one"
    )


def _epochs(run: Run, tokens: int, kept_tokens: int | None) -> float | None:
  """Passes over the selection: tokens of text seen / tokens of text kept.

  Inputs and targets of span corruption hold each token of text once, and two
  sentinels a span and two ends beside; the ratio is the task's.
  """
  if not kept_tokens:
    return None
  return tokens * run.text_share / kept_tokens
